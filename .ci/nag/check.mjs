// Holds templates against cdk-nag's pack AwsSolutions.
//
// In: paths of templates. Out: each finding that no exception of the template covers, and each exception that covers
// none, with exit code 1 where there is one. Exceptions stand in a resource's metadata (`cdk_nag`), which CfnInclude
// keeps.

import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Aspects, Stack } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { AwsSolutionsChecks, NagReportFormat } from 'cdk-nag';

/** What the pack says of each resource of a template, line by line. */
function report(templateFile) {
  const outdir = mkdtempSync(join(tmpdir(), 'nag-'));
  const app = new App({ outdir });
  const stack = new Stack(app, 'Checked');
  new CfnInclude(stack, 'Template', { templateFile });
  Aspects.of(app).add(new AwsSolutionsChecks({ reports: true, reportFormats: [NagReportFormat.JSON] }));
  // The pack prints its findings, too, without their resources' names.
  const write = process.stderr.write;
  process.stderr.write = () => true;
  try {
    app.synth();
  } finally {
    process.stderr.write = write;
  }
  const reports = readdirSync(outdir).filter((name) => name.endsWith('NagReport.json'));
  if (reports.length !== 1) throw new Error(`${templateFile}: ${reports.length} reports`);
  return JSON.parse(readFileSync(join(outdir, reports[0]), 'utf8')).lines;
}

let wrong = 0;
for (const path of process.argv.slice(2)) {
  const lines = report(path);
  if (lines.length === 0) throw new Error(`${path}: nothing was checked`);
  const excused = new Set();
  for (const line of lines) {
    const resource = line.resourceId.split('/').pop();
    if (line.compliance === 'Non-Compliant' || line.compliance === 'UNKNOWN') {
      console.log(`${path}: ${resource}: ${line.ruleId}: ${line.ruleInfo}`);
      wrong += 1;
    } else if (line.compliance !== 'Compliant') {
      excused.add(`${resource} ${line.ruleId}`);
    }
  }
  const { Resources: resources } = JSON.parse(readFileSync(path, 'utf8'));
  for (const [id, { Metadata: metadata }] of Object.entries(resources)) {
    for (const { id: rule } of metadata?.cdk_nag?.rules_to_suppress ?? []) {
      if (!excused.has(`${id} ${rule}`)) {
        console.log(`${path}: ${id}: the exception from ${rule} covers nothing`);
        wrong += 1;
      }
    }
  }
  console.log(`${path}: cdk-nag looked at ${lines.length} lines, ${excused.size} of them exceptions`);
}
process.exit(wrong ? 1 : 0);
