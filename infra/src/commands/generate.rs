use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::answers::GeneratorAnswer;
use annapurna_contract::events::{ById, ByIds, ByTitle, GeneratorEvent, Recent};
use annapurna_contract::{Bucket, Function, PaperId, keys};
use annapurna_stack::outputs::Output;
use serde::Serialize;

use super::results::paper_id;
use super::{Context, EnvironmentArg, Target, invoke};
use crate::error::CommandError;
use crate::ui;
use program::Stored;

mod eval;
pub(super) mod program;

/// Have programs written for papers, and show what each has of its plan
///
/// Papers that have a program keep it: without --force no model is asked for them. Each program goes to its test.
///
/// Exit code 1: no paper has a program now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra generate local by-title \"Adam: a method for stochastic optimization\"
  cargo infra generate prod by-id 0123456789abcdef0123456789abcdef --force --save --output-dir programs
  cargo infra generate prod recent --days 7 --max-papers 3 --json
  cargo infra generate dev eval              How well the model sees planted faults; asks it two dozen times")]
pub(super) struct GenerateArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    #[command(subcommand)]
    papers: Papers,
    /// Papers at most [default: 1 by title, 5 of the recent ones]
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=25))]
    max_papers: Option<u32>,
    /// Only papers that came in the last so many days
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Write from the abstract, without the paper's PDF
    #[arg(long, global = true)]
    abstract_only: bool,
    /// Write a program though there is one, or though the last one was refused
    #[arg(long, global = true)]
    force: bool,
    /// Write each program and what is known of it to files
    #[arg(long, global = true)]
    save: bool,
    /// Folder of the files, with a folder for each paper
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "programs",
        requires = "save"
    )]
    output_dir: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Which papers get a program.
#[derive(Debug, clap::Subcommand)]
enum Papers {
    /// The paper with this title
    ByTitle {
        /// The title, or words of it
        title: String,
    },
    /// The papers with these ids
    ById {
        /// As `cargo infra papers ENV` shows them
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// The newest papers that have no program
    Recent,
    /// Examine programs of classic papers, right ones and ones with a planted fault, and tell what was seen
    Eval,
}

/// A paper of the answer, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    paper_id: &'a str,
    title: Option<&'a str>,
    /// `new`, `there` or `none`.
    program: &'static str,
    /// Why there is none.
    error: Option<&'a str>,
    /// What is known of the program.
    #[serde(flatten)]
    stored: Option<&'a Stored>,
}

pub(super) async fn run(cx: &Context, args: GenerateArgs) -> Result<ExitCode, CommandError> {
    let Some(event) = event(&args)? else {
        let target = cx.target(&args.environment).await?;
        eval::run(cx, &target, args.json).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let event = serde_json::to_value(event)?;
    let target = cx.target(&args.environment).await?;
    let step = cx.ui.begin("the generator is at work");
    let generator = Function::Generator;
    let answer = invoke::invoke(&target.cloud, &target.environment, generator, &event).await?;
    drop(step);
    let answer: GeneratorAnswer = serde_json::from_value(answer)?;
    let programs = program::of(&target, &answer).await?;
    show(cx, &answer, &programs, args.json)?;
    if args.save {
        for stored in &programs {
            let folder = save(&target, stored, &args.output_dir).await?;
            cx.ui.done(format!("wrote {}", folder.display()));
        }
    }
    let first = answer.failed.first().filter(|_| answer.n_done() == 0);
    match first {
        None => Ok(ExitCode::SUCCESS),
        Some(failed) => Err(CommandError::NothingDone {
            environment: target.environment.name.clone(),
            function: generator.name().to_owned(),
            n_failed: answer.failed.len(),
            reason: ui::one_line(&failed.error, 600),
        }),
    }
}

/// What the generator is asked; `None` where no program is to be written.
fn event(args: &GenerateArgs) -> Result<Option<GeneratorEvent>, CommandError> {
    let full_content = args.abstract_only.then_some(false);
    let force = args.force.then_some(true);
    let (max_papers, days) = (args.max_papers, args.days);
    Ok(Some(match &args.papers {
        Papers::Eval => return Ok(None),
        Papers::ByTitle { title } => GeneratorEvent::GenerateByTitle(ByTitle {
            max_papers,
            days,
            include_full_content: full_content,
            force,
            ..ByTitle::of(title.clone())
        }),
        Papers::ById { ids } if ids.len() == 1 => GeneratorEvent::GenerateById(ById {
            include_full_content: full_content,
            force,
            ..ById::of(paper_id(&ids[0])?.into())
        }),
        Papers::ById { ids } => {
            let ids: Result<Vec<String>, CommandError> =
                ids.iter().map(|id| Ok(paper_id(id)?.into())).collect();
            GeneratorEvent::GenerateByIds(ByIds {
                max_papers,
                include_full_content: full_content,
                force,
                ..ByIds::of(ids?)
            })
        }
        Papers::Recent => GeneratorEvent::GenerateRecent(Recent {
            max_papers,
            days,
            include_full_content: full_content,
            force,
        }),
    }))
}

fn show(
    cx: &Context,
    answer: &GeneratorAnswer,
    programs: &[Stored],
    as_json: bool,
) -> Result<(), CommandError> {
    let rows = rows(answer, programs);
    if as_json {
        return cx.ui.json(&rows);
    }
    if rows.is_empty() {
        cx.ui.status("No paper of these is without a program");
        return Ok(());
    }
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    let header = ["PAPER", "PROGRAM", "CLAIMS", "DATA SET", "USD", "TITLE"];
    cx.ui.result(ui::table(&header, &lines))?;
    for failed in &answer.failed {
        let paper = ui::one_line(&failed.paper_id, 80);
        cx.ui
            .warn(format!("{paper}: {}", ui::one_line(&failed.error, 600)));
    }
    Ok(())
}

fn rows<'a>(answer: &'a GeneratorAnswer, programs: &'a [Stored]) -> Vec<Row<'a>> {
    let stored = |id: &str| programs.iter().find(|it| it.paper_id.as_str() == id);
    let done = |program: &'static str| {
        move |it: &'a annapurna_contract::answers::Program| Row {
            paper_id: &it.paper_id,
            title: Some(&it.title),
            program,
            error: None,
            stored: stored(&it.paper_id),
        }
    };
    let titles = &answer.chosen;
    let failed = answer.failed.iter().map(|it| Row {
        paper_id: &it.paper_id,
        title: titles
            .iter()
            .find(|chosen| chosen.paper_id == it.paper_id)
            .and_then(|chosen| chosen.title.as_deref()),
        program: "none",
        error: Some(&it.error),
        stored: None,
    });
    let new = answer.generated.iter().map(done("new"));
    new.chain(answer.already.iter().map(done("there")))
        .chain(failed)
        .collect()
}

fn line(row: &Row<'_>) -> Vec<String> {
    let none = || "-".to_owned();
    let stored = row.stored;
    vec![
        ui::one_line(row.paper_id, 40),
        row.program.to_owned(),
        stored.and_then(Stored::claims).unwrap_or_else(none),
        stored.and_then(Stored::dataset).unwrap_or_else(none),
        stored.map_or_else(none, |it| format!("{:.3}", it.usd())),
        ui::one_line(row.title.unwrap_or("-"), 70),
    ]
}

/// Writes a program and its metadata into a folder of the paper's id.
async fn save(target: &Target, stored: &Stored, folder: &Path) -> Result<PathBuf, CommandError> {
    let bucket = target
        .deployed
        .outputs
        .get(Output::BucketName(Bucket::Code))?;
    let objects = S3::new(&target.cloud.config);
    let paper: &PaperId = &stored.paper_id;
    let folder = folder.join(paper.as_str());
    let failed = |error: std::io::Error| CommandError::Usage {
        problem: format!("{} cannot be written: {error}", folder.display()),
        hint: "name another folder with --output-dir".to_owned(),
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for (key, name) in [
        (keys::code_version(paper, &stored.code_sha256), "code.py"),
        (keys::code_metadata(paper), "metadata.json"),
    ] {
        if let Some(body) = objects.get(bucket, &key, program::OBJECT_LIMIT).await? {
            std::fs::write(folder.join(name), body).map_err(failed)?;
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn sent(words: &str) -> serde_json::Value {
        let words = ["generate"].into_iter().chain(words.split_whitespace());
        let args = Command::try_parse_from(words).unwrap().args;
        serde_json::to_value(event(&args).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn each_way_to_name_papers_is_the_generators_own_action() {
        assert_eq!(
            sent("local by-title Adam --max-papers 2 --days 7"),
            json!({"action": "generate_by_title", "title": "Adam", "max_papers": 2, "days": 7})
        );
        assert_eq!(
            sent("local by-id a --force --abstract-only"),
            json!({"action": "generate_by_id", "paper_id": "a", "force": true, "include_full_content": false})
        );
        assert_eq!(
            sent("local by-id a b"),
            json!({"action": "generate_by_ids", "paper_ids": ["a", "b"]})
        );
        assert_eq!(
            sent("local --max-papers 3 recent"),
            json!({"action": "generate_recent", "max_papers": 3})
        );
    }

    #[test]
    fn files_are_written_only_where_they_are_asked_for() {
        let parsed = |words: &[&str]| Command::try_parse_from(words).is_ok();
        assert!(parsed(&[
            "generate",
            "local",
            "recent",
            "--save",
            "--output-dir",
            "x"
        ]));
        assert!(!parsed(&[
            "generate",
            "local",
            "recent",
            "--output-dir",
            "x"
        ]));
        assert!(!parsed(&["generate", "local", "by-id"]));
        assert!(!parsed(&[
            "generate",
            "local",
            "recent",
            "--max-papers",
            "26"
        ]));
    }

    #[test]
    fn every_paper_of_the_answer_is_a_row() {
        let program = |id: &str| json!({"paper_id": id, "title": "t", "s3_code_key": "k", "from_full_text": true});
        let answer: GeneratorAnswer = serde_json::from_value(json!({
            "requested": 3, "chosen": [{"paper_id": "c", "title": "Lion"}],
            "generated": [program("a")], "already": [program("b")],
            "failed": [{"paper_id": "c", "error": "no time left"}],
        }))
        .unwrap();
        let rows = rows(&answer, &[]);
        let shown: Vec<Vec<String>> = rows.iter().map(line).collect();
        assert_eq!(shown[0], ["a", "new", "-", "-", "-", "t"]);
        assert_eq!(shown[1][1], "there");
        assert_eq!(shown[2], ["c", "none", "-", "-", "-", "Lion"]);
    }
}
