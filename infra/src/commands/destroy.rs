use std::process::ExitCode;

use annapurna_stack::cloudformation::Holds;
use annapurna_stack::environment::{Environment, LocalSettings};
use annapurna_stack::plan::{Deployment, Impact, changes};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine};
use crate::error::CommandError;
use crate::local;

/// Delete an environment's stack; a local one leaves nothing behind
///
/// Buckets and domains with the policy Retain stay, and are named before anything is deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra destroy local              Stops everything, asks, removes it
  cargo infra destroy dev                Names what goes and what stays, and asks")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(cx: &Context, args: DestroyArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    match environment.local() {
        Some(settings) => destroy_here(cx, &args, &environment, settings).await,
        None => {
            let target = cx.target(&args.environment).await?;
            target.cloud.guard(&environment).await?;
            let instances = Engine::new(&target.cloud, environment.instances_stack_name());
            let doomed = instances.deployed().await?;
            let doomed = doomed.iter().chain([&target.deployed]);
            for change in doomed.flat_map(|it| changes(&it.deployment, &Deployment::none())) {
                cx.ui.result(&change)?;
            }
            agreed(cx, &args, &format!("Destroy `{}`?", environment.name))?;
            // First what is made of the other's launch template.
            instances.delete().await?;
            delete_stack(cx, &environment, &target.cloud, &target.deployed).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Stops the command unless a person, or `--yes`, says yes.
fn agreed(cx: &Context, args: &DestroyArgs, question: &str) -> Result<(), CommandError> {
    if args.yes || cx.ui.confirm(question)? {
        return Ok(());
    }
    Err(CommandError::Declined {
        left: "nothing was destroyed",
        again: None,
    })
}

async fn delete_stack(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let doomed = changes(&deployed.deployment, &Deployment::none());
    let buckets = doomed
        .iter()
        .filter(|change| change.impact == Impact::Destroy && change.holds() == Holds::Objects);
    for bucket in buckets.filter_map(|change| change.name.as_deref()) {
        let step = cx.ui.begin(format!("Emptying {bucket}"));
        empty_bucket(cloud, bucket).await?;
        drop(step);
    }
    let step = cx
        .ui
        .begin(format!("Deleting stack {}", environment.stack_name()));
    Engine::new(cloud, environment.stack_name())
        .delete()
        .await?;
    drop(step);
    cx.ui.done(format!("`{}` is destroyed", environment.name));
    Ok(())
}

/// Removes every version of every object, since CloudFormation deletes only empty buckets.
async fn empty_bucket(cloud: &Cloud, bucket: &str) -> Result<(), CommandError> {
    loop {
        let page = cloud.s3.list_object_versions().bucket(bucket).send().await;
        let page = page.map_err(CommandError::aws(format!("list the versions in {bucket}")))?;
        let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|it| (it.key(), it.version_id()));
        let objects: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                let object = ObjectIdentifier::builder()
                    .key(key?)
                    .set_version_id(version.map(str::to_owned));
                object.build().ok()
            })
            .collect();
        if objects.is_empty() {
            return Ok(());
        }
        let delete = Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build();
        let delete = delete.map_err(|error| CommandError::Aws {
            doing: format!("empty {bucket}"),
            reason: error.to_string(),
        })?;
        let answer = cloud
            .s3
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await;
        let answer = answer.map_err(CommandError::aws(format!("empty {bucket}")))?;
        if let Some(error) = answer.errors().first() {
            return Err(CommandError::Aws {
                doing: format!("empty {bucket}"),
                reason: error
                    .message()
                    .unwrap_or("an object cannot be deleted")
                    .to_owned(),
            });
        }
    }
}

async fn destroy_here(
    cx: &Context,
    args: &DestroyArgs,
    environment: &Environment,
    settings: &LocalSettings,
) -> Result<ExitCode, CommandError> {
    let home = cx.home(environment);
    if !home.root().exists() {
        cx.ui.status(format!(
            "There is no `{}` environment on this machine.",
            environment.name
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let question = format!(
        "Stop `{}` and remove {} with every paper in it?",
        environment.name,
        home.root().display()
    );
    agreed(cx, args, &question)?;
    let _alone = local::alone(&home, environment)?;
    // An emulator of the environment's own goes with its folder; in a shared one the stack must go.
    if settings.endpoint_url.is_some()
        && let Some(cloud) = cx.cloud(environment).await?
        && let Some(deployed) = Engine::new(&cloud, environment.stack_name())
            .deployed()
            .await?
    {
        delete_stack(cx, environment, &cloud, &deployed).await?;
    }
    let step = cx.ui.begin("Stopping");
    local::remove(&home, &cx.ui).await?;
    drop(step);
    cx.ui.done(format!("`{}` is gone", environment.name));
    Ok(ExitCode::SUCCESS)
}
