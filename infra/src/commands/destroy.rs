use std::process::ExitCode;

use annapurna_contract::Bucket;
use annapurna_stack::cloudformation::Holds;
use annapurna_stack::environment::{Environment, LocalSettings};
use annapurna_stack::plan::{Change, Deployment, Impact, changes};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::progress::{Follower, ProgressStyle};
use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::engine::{Engine, Standing};
use crate::error::CommandError;
use crate::local::{self, removal};
use crate::ui::one_line;

/// Delete an environment's stack; a local one leaves nothing behind
///
/// Buckets and domains with the policy Retain stay, and are named before anything is deleted. An environment
/// with `protected = true` is deleted with --force-destroy alone, after its name was typed; the bucket of raw
/// papers outlives that too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra destroy local              Asks, stops everything, removes it
  cargo infra destroy dev                Names what goes and what stays, and asks
  cargo infra destroy dev --yes          Does not ask
  cargo infra destroy prod --force-destroy")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Do not ask for confirmation; in a protected environment it is no answer
    #[arg(long)]
    yes: bool,
    /// Delete a protected environment
    #[arg(long)]
    force_destroy: bool,
    /// Answer the question for the name of a protected environment
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// How events are shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    progress: Option<ProgressStyle>,
}

pub(super) async fn run(cx: &Context, args: DestroyArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    match environment.local() {
        Some(settings) => destroy_here(cx, &args, &environment, settings).await,
        None => destroy_in_aws(cx, &args, &environment).await,
    }
}

async fn destroy_in_aws(
    cx: &Context,
    args: &DestroyArgs,
    environment: &Environment,
) -> Result<ExitCode, CommandError> {
    let name = &environment.name;
    refuse_protected(args, environment)?;
    let cloud = Cloud::connect(environment, None).await;
    cloud.guard(environment).await?;
    let say = |text| cx.ui.status(text);
    let engine = Engine::new(&cloud, environment.stack_name());
    let standing = engine.at_rest(&say).await?;
    let instances = Engine::new(&cloud, environment.instances_stack_name());
    let has_instances = instances.at_rest(&say).await? != Standing::Absent;
    match standing {
        Standing::Absent if !has_instances => {
            return Err(CommandError::NotDeployed {
                environment: name.clone(),
            });
        }
        Standing::Review => cx.ui.status(format!(
            "Stack {} is only under review: nothing of it exists but its change sets.",
            environment.stack_name()
        )),
        _ => {}
    }
    let going = doomed(&instances).await?;
    let doomed = doomed(&engine).await?;
    for change in going.iter().chain(&doomed) {
        cx.ui.result(change)?;
    }
    refuse_papers(environment, &doomed)?;
    refuse_kept(environment, &engine, &instances).await?;
    agreed(cx, args, environment, &format!("Destroy `{name}`?")).await?;
    if environment.protected && standing != Standing::Absent {
        // Whoever may not do that is told so before anything is gone.
        engine.set_termination_protection(false).await?;
    }
    // First what is made of the other's launch template.
    let stack = environment.instances_stack_name();
    delete(cx, args, &instances, &stack, going.len()).await?;
    delete_stack(cx, args, environment, &cloud, &doomed).await?;
    Ok(ExitCode::SUCCESS)
}

/// A protected environment goes only by force, and without one AWS is not even asked.
fn refuse_protected(args: &DestroyArgs, environment: &Environment) -> Result<(), CommandError> {
    let name = &environment.name;
    if environment.protected && !args.force_destroy {
        return Err(CommandError::Usage {
            problem: format!(
                "environment `{name}` is protected: its file says `protected = true`, so it is not destroyed"
            ),
            hint: format!(
                "if it has to go: cargo infra destroy {name} --force-destroy; the raw papers stay even then"
            ),
        });
    }
    Ok(())
}

/// CloudFormation refuses to delete a stack with termination protection. That is said before the other stack is gone; only
/// that of a protected environment's pipeline is lifted by `destroy` itself.
async fn refuse_kept(
    environment: &Environment,
    pipeline: &Engine,
    instances: &Engine,
) -> Result<(), CommandError> {
    let name = &environment.name;
    let refusal = |stack: &str, hint: &str| CommandError::Usage {
        problem: format!("stack `{stack}` has termination protection, so nothing was destroyed"),
        hint: format!(
            "{hint}aws cloudformation update-termination-protection --no-enable-termination-protection \
             --stack-name {stack}"
        ),
    };
    if instances.has_termination_protection().await? {
        return Err(refusal(
            &environment.instances_stack_name(),
            "take it away: ",
        ));
    }
    if !environment.protected && pipeline.has_termination_protection().await? {
        let hint = format!("`cargo infra deploy {name}` takes away what a deploy gave; else: ");
        return Err(refusal(&environment.stack_name(), &hint));
    }
    Ok(())
}

/// What goes with a stack, and what of it stays.
async fn doomed(engine: &Engine) -> Result<Vec<Change>, CommandError> {
    let deployed = engine.deployed().await?;
    Ok(deployed.map_or_else(Vec::new, |it| changes(&it.deployment, &Deployment::none())))
}

/// The raw papers of a protected environment cannot be had again where a site has taken them down: a stack whose
/// template would let them go, such as one that was deployed before it was protected, is not deleted.
fn refuse_papers(environment: &Environment, doomed: &[Change]) -> Result<(), CommandError> {
    let papers = environment.bucket_name(Bucket::Papers);
    let goes =
        |it: &&Change| it.impact == Impact::Destroy && it.name.as_deref() == Some(papers.as_str());
    match doomed.iter().find(goes) {
        Some(_) if environment.protected => Err(CommandError::Usage {
            problem: format!("the stack as it is deployed would take bucket `{papers}` with it"),
            hint: format!(
                "deploy it once, so that the bucket stays: cargo infra deploy {}",
                environment.name
            ),
        }),
        _ => Ok(()),
    }
}

/// Stops the command unless a person, or the command line, says yes; for a protected environment by its name.
async fn agreed(
    cx: &Context,
    args: &DestroyArgs,
    environment: &Environment,
    question: &str,
) -> Result<(), CommandError> {
    let confirm = args.confirm.as_deref();
    if cx.agreed(environment, question, args.yes, confirm).await? {
        return Ok(());
    }
    Err(CommandError::Declined {
        left: "nothing was destroyed".to_owned(),
        again: None,
    })
}

async fn delete_stack(
    cx: &Context,
    args: &DestroyArgs,
    environment: &Environment,
    cloud: &Cloud,
    doomed: &[Change],
) -> Result<(), CommandError> {
    let buckets = doomed
        .iter()
        .filter(|change| change.impact == Impact::Destroy && change.holds() == Holds::Objects);
    for bucket in buckets.filter_map(|change| change.name.as_deref()) {
        let step = cx.ui.begin(format!("Emptying {bucket}"));
        empty_bucket(cloud, bucket).await?;
        drop(step);
    }
    let stack = environment.stack_name();
    let engine = Engine::new(cloud, &stack);
    delete(cx, args, &engine, &stack, doomed.len()).await?;
    cx.ui.done(format!("`{}` is destroyed", environment.name));
    Ok(())
}

/// Deletes a stack of `total` resources and shows how far that is; nothing when there is none.
async fn delete(
    cx: &Context,
    args: &DestroyArgs,
    engine: &Engine,
    stack: &str,
    total: usize,
) -> Result<(), CommandError> {
    let style = ProgressStyle::or_by_itself(args.progress, &cx.ui);
    let follower = Follower::new(&cx.ui, style, stack, total, None);
    engine.delete(&|event| follower.show(event)).await
}

/// Removes every version of every object, since CloudFormation deletes only empty buckets.
async fn empty_bucket(cloud: &Cloud, bucket: &str) -> Result<(), CommandError> {
    loop {
        let page = cloud.s3.list_object_versions().bucket(bucket).send().await;
        // A destruction that failed half way took it already.
        if let Err(error) = &page
            && error.code() == Some("NoSuchBucket")
        {
            return Ok(());
        }
        let page = page.map_err(CommandError::aws(format!("list the versions in {bucket}")))?;
        let objects = versions_of(&page);
        if objects.is_empty() {
            return Ok(());
        }
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true);
        let delete = delete.build().map_err(|error| CommandError::Aws {
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
                reason: one_line(
                    error.message().unwrap_or("an object cannot be deleted"),
                    300,
                ),
            });
        }
    }
}

/// Each version and each mark of a deletion on a page.
fn versions_of(page: &ListObjectVersionsOutput) -> Vec<ObjectIdentifier> {
    let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
    let markers = page.delete_markers().iter();
    let markers = markers.map(|it| (it.key(), it.version_id()));
    let identified = versions.chain(markers).filter_map(|(key, version)| {
        let object = ObjectIdentifier::builder().key(key?);
        let object = object.set_version_id(version.map(str::to_owned));
        object.build().ok()
    });
    identified.collect()
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
    agreed(cx, args, environment, &question).await?;
    let _alone = local::alone(&home, environment)?;
    removal::begin(&home)?;
    // An emulator of the environment's own goes with its folder; in a shared one the stack must go.
    if settings.endpoint_url.is_some()
        && let Some(cloud) = cx.cloud(environment).await?
        && let Some(deployed) = Engine::new(&cloud, environment.stack_name())
            .deployed()
            .await?
    {
        let doomed = changes(&deployed.deployment, &Deployment::none());
        delete_stack(cx, args, environment, &cloud, &doomed).await?;
    }
    let step = cx.ui.begin("Stopping");
    removal::finish(&home, &cx.ui).await?;
    drop(step);
    cx.ui.done(format!("`{}` is gone", environment.name));
    Ok(ExitCode::SUCCESS)
}
