use std::process::ExitCode;

use annapurna_stack::environment::Environment;

use super::progress::{Follower, ProgressStyle};
use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::engine::{Engine, Event, Standing};
use crate::error::CommandError;

/// Bring back a stack whose update could be neither finished nor undone
///
/// A stack in that state takes no update. Correct what the events name, then go on. What cannot be corrected is
/// left out with --skip: it stays as the failed update left it, so put it right by hand before the next deploy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra rollback prod                         Says what could not be brought back, and why
  cargo infra rollback prod --continue              Goes on with it
  cargo infra rollback prod --continue --skip Judge")]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Go on with the rollback
    #[arg(long = "continue")]
    go_on: bool,
    /// Logical id of a resource that is left as it is; repeatable
    #[arg(long, value_name = "ID", requires = "go_on")]
    skip: Vec<String>,
    /// Do not ask for confirmation; in a protected environment it is no answer
    #[arg(long)]
    yes: bool,
    /// The name of a protected environment, which is the answer where nobody can type it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// How events are shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    progress: Option<ProgressStyle>,
}

pub(super) async fn run(cx: &Context, args: RollbackArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let name = &environment.name;
    let not_deployed = || CommandError::NotDeployed {
        environment: name.clone(),
    };
    let cloud = cx.cloud(&environment).await?.ok_or_else(not_deployed)?;
    cloud.guard(&environment).await?;
    let Some((stack, engine)) = find_stuck(cx, &environment, &cloud).await? else {
        cx.ui
            .status(format!("`{name}` has no rollback to go on with."));
        return Ok(ExitCode::SUCCESS);
    };
    let stuck = engine.stuck().await;
    if !args.go_on {
        return Err(stuck);
    }
    cx.ui.status(&stuck);
    for id in &args.skip {
        cx.ui
            .warn(format!("`{id}` is left as the failed update left it"));
    }
    let question = format!("Go on with the rollback of `{name}`?");
    let confirm = args.confirm.as_deref();
    if !cx
        .agreed(&environment, &question, args.yes, confirm)
        .await?
    {
        return Err(CommandError::Declined {
            left: "nothing was changed".to_owned(),
            again: None,
        });
    }
    let style = ProgressStyle::or_by_itself(args.progress, &cx.ui);
    let follower = Follower::new(&cx.ui, style, &stack, 0, None);
    let show = |event: &Event| follower.show(event);
    engine.continue_rollback(&args.skip, &show).await?;
    drop(follower);
    cx.ui.done(format!(
        "Stack {stack} is as it was before the update; deploy `{name}` again"
    ));
    Ok(ExitCode::SUCCESS)
}

/// The stack of the pipeline or else that of its instances, if one of them takes no update.
///
/// # Errors
///
/// [`CommandError::NotDeployed`] where there is none of the pipeline.
async fn find_stuck(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
) -> Result<Option<(String, Engine)>, CommandError> {
    let pipeline = environment.stack_name();
    for stack in [pipeline.clone(), environment.instances_stack_name()] {
        let engine = Engine::new(cloud, stack.clone());
        match engine.at_rest(&|text| cx.ui.status(text)).await? {
            Standing::Stuck => return Ok(Some((stack, engine))),
            Standing::Absent if stack == pipeline => {
                return Err(CommandError::NotDeployed {
                    environment: environment.name.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(None)
}
