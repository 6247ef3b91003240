//! Has the agent of each instance that runs become the one of the stack's bundle.
//!
//! Asked for by every deploy, whatever it changes: one that was cut off after its change set, or whose request did not
//! reach an instance, leaves agents of an older bundle. Only the instance knows which one it has, so it decides whether to
//! restart its agent. A stopped instance fetches the bundle when it starts.

use std::time::Duration;

use annapurna_contract::text::one_line;
use annapurna_stack::environment::Environment;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::operation::get_command_invocation::GetCommandInvocationOutput;
use aws_sdk_ssm::types::CommandInvocationStatus as Status;
use tokio::time::{Instant, sleep};

use crate::cloud::Cloud;
use crate::commands::Context;
use crate::error::CommandError;
use crate::instances;

/// What an instance is to do, by its shell.
const SCRIPT: &str = include_str!("bring-agent-up-to-date.sh");
/// How long Systems Manager tries to hand it over, seconds; 30 is the least. Source: Systems Manager API, `SendCommand`.
const DELIVERY_SECS: i32 = 60;
/// How long the instances have for it together: the delivery, and as long as the agent's unit has to stop and to start.
const LIMIT: Duration = Duration::from_secs(60 + 40 + 300);
/// Between two looks at what came of it.
const POLL: Duration = Duration::from_secs(2);
/// Longest words of an instance that are shown, characters.
const SAID: usize = 300;

/// Asks each instance that runs, and says of each what came of it. One that cannot be asked, or does not do it, is warned
/// of: in its first minutes an instance is not yet managed by Systems Manager, and then starts the stack's bundle anyway.
///
/// # Errors
///
/// When EC2 cannot be asked for the instances.
pub(super) async fn bring_up_to_date(
    cx: &Context,
    cloud: &Cloud,
    environment: &Environment,
) -> Result<(), CommandError> {
    let seen = instances::seen(cloud, environment).await?;
    let running = seen.into_iter().filter(instances::Seen::runs);
    let mut asked = Vec::new();
    for instance in running {
        // Each by itself: a request for several is refused as a whole where one of them is not managed.
        let command = ask(cloud, &instance.id).await;
        asked.push((instance.id, command));
    }
    if asked.is_empty() {
        return Ok(());
    }
    let step = cx
        .ui
        .begin("Waiting until each running agent has the stack's bundle");
    let deadline = Instant::now() + LIMIT;
    let mut outcomes = Vec::with_capacity(asked.len());
    for (instance, command) in asked {
        let outcome = match command {
            Ok(command) => outcome(cloud, &instance, &command, deadline).await,
            Err(error) => Err(error),
        };
        outcomes.push((instance, outcome));
    }
    drop(step);
    for (instance, outcome) in outcomes {
        match outcome {
            Ok(said) => cx.ui.done(format!("{instance}: {said}")),
            Err(error) => cx.ui.warn(format!(
                "{error}; it takes the stack's bundle when its agent starts, or with the next deploy"
            )),
        }
    }
    Ok(())
}

/// The id of the command that Systems Manager took.
async fn ask(cloud: &Cloud, instance: &str) -> Result<String, CommandError> {
    let lines = SCRIPT.lines().map(str::to_owned).collect();
    let request = cloud
        .ssm
        .send_command()
        .document_name("AWS-RunShellScript")
        .instance_ids(instance)
        .timeout_seconds(DELIVERY_SECS)
        .parameters("commands", lines);
    let doing = format!("ask {instance} for its agent's bundle");
    let sent = request.send().await.map_err(CommandError::aws(&doing))?;
    let id = sent.command.and_then(|it| it.command_id);
    id.ok_or_else(|| CommandError::lacks(doing, "id of the command"))
}

/// What the instance says when it is done.
async fn outcome(
    cloud: &Cloud,
    instance: &str,
    command: &str,
    deadline: Instant,
) -> Result<String, CommandError> {
    let invocation = cloud.ssm.get_command_invocation();
    let request = invocation.command_id(command).instance_id(instance);
    loop {
        match request.clone().send().await {
            Ok(seen) => {
                if let Some(ended) = ended(instance, &seen) {
                    return ended;
                }
            }
            // It is known a moment after it was taken.
            Err(error) if error.code() == Some("InvocationDoesNotExist") => {}
            Err(error) => {
                let doing = format!("see what {instance} does about its agent's bundle");
                return Err(CommandError::aws(doing)(error));
            }
        }
        if Instant::now() >= deadline {
            return Err(CommandError::TimedOut {
                what: format!("the restart of the agent on {instance}"),
                limit_secs: LIMIT.as_secs(),
            });
        }
        sleep(POLL).await;
    }
}

/// `None` while it is under way.
fn ended(
    instance: &str,
    seen: &GetCommandInvocationOutput,
) -> Option<Result<String, CommandError>> {
    let said = |text: Option<&str>| one_line(text.unwrap_or_default(), SAID);
    match seen.status()? {
        Status::Pending | Status::InProgress | Status::Delayed | Status::Cancelling => None,
        Status::Success => Some(Ok(said(seen.standard_output_content()))),
        status => {
            let word = seen.status_details().unwrap_or(status.as_str());
            let why = said(seen.standard_error_content());
            Some(Err(CommandError::Aws {
                doing: format!("bring the agent on {instance} up to date"),
                reason: format!("{word}: {why}").trim_end_matches(": ").to_owned(),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// What the script says and what it has systemd do, on an instance with this bundle whose stack names `new`; `None`
    /// of either where there is none.
    fn ran(has: Option<&str>, named: Option<&str>) -> (bool, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        write(
            "etc/annapurna/agent.env",
            "AWS_REGION=eu-west-1\nAGENT_BUNDLE_PARAMETER=/annapurna/x/trainium-agent\n",
        );
        let asked = "ssm get-parameter --region eu-west-1 --name /annapurna/x/trainium-agent \
                     --query Parameter.Value --output text";
        let answer = named.map_or("exit 254".to_owned(), |it| format!("echo {it}"));
        write(
            "bin/aws",
            &format!("#!/bin/sh\ntest \"$*\" = '{asked}' || exit 9\n{answer}\n"),
        );
        let done = root.join("done");
        let systemctl = format!("#!/bin/sh\necho \"$@\" >> '{}'\n", done.display());
        write("bin/systemctl", &systemctl);
        if let Some(has) = has {
            write("opt/annapurna/current/source", &format!("{has}\n"));
        }
        let here = |place: &str| root.join(place).display().to_string();
        let script = SCRIPT
            .replace("/etc/annapurna", &here("etc/annapurna"))
            .replace("/opt/annapurna", &here("opt/annapurna"));
        let path =
            std::env::join_paths([&root.join("bin"), Path::new("/usr/bin"), Path::new("/bin")]);
        let mut shell = Command::new("sh");
        let ran = shell.arg("-c").arg(script).env("PATH", path.unwrap());
        let output = ran.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let done = std::fs::read_to_string(done).unwrap_or_default();
        (output.status.success(), said, done)
    }

    #[test]
    fn a_command_has_ended_in_a_terminal_state_and_says_how() {
        let seen = |status: &str, details: &str, error: &str| {
            let seen = GetCommandInvocationOutput::builder()
                .status(status.into())
                .status_details(details)
                .standard_output_content("the agent has it\n")
                .standard_error_content(error)
                .build();
            let ended = ended("i-1", &seen)?;
            Some(ended.map_err(|error| error.to_string()))
        };
        for status in ["Pending", "InProgress", "Delayed", "Cancelling"] {
            assert_eq!(seen(status, "", ""), None, "{status}");
        }
        let well = seen("Success", "Success", "");
        assert_eq!(well, Some(Ok("the agent has it".to_owned())));
        for (status, details, error, words) in [
            ("Failed", "Failed", "no unit\n", "Failed: no unit"),
            ("TimedOut", "DeliveryTimedOut", "", "DeliveryTimedOut"),
            ("Cancelled", "Terminated", "", "Terminated"),
            // What this version of the SDK does not know is no reason to wait on.
            ("Novel", "Novel", "", "Novel"),
        ] {
            let words = format!("cannot bring the agent on i-1 up to date: {words}");
            assert_eq!(seen(status, details, error), Some(Err(words)), "{status}");
        }
    }

    #[test]
    fn an_instance_restarts_its_agent_only_where_the_stack_names_another_bundle() {
        let (new, old) = ("s3://b/trainium-agent/2.zip", "s3://b/trainium-agent/1.zip");
        let restarted = "restart annapurna-agent\n";
        let same = ran(Some(new), Some(new));
        assert_eq!(same, (true, format!("the agent has {new}"), String::new()));
        for has in [Some(old), None] {
            let (ends_well, said, done) = ran(has, Some(new));
            assert!(ends_well, "{said}");
            assert_eq!(said, format!("the agent restarts with {new}"));
            assert_eq!(done, restarted);
        }
        // A restart would bring nothing where the name cannot be read.
        let unread = ran(Some(old), None);
        assert_eq!(unread, (false, String::new(), String::new()));
    }
}
