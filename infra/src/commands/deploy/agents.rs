//! Has the agent of each instance that runs become the one of the stack's bundle.
//!
//! Asked for by every deploy, whatever it changes: one that was cut off after its change set, or whose request did not
//! reach an instance, leaves agents of an older bundle. Only the instance knows which one it has, so it decides whether to
//! restart its agent. A stopped instance fetches the bundle when it starts.

use annapurna_stack::environment::Environment;

use crate::cloud::Cloud;
use crate::commands::Context;
use crate::error::CommandError;
use crate::instances;

/// What an instance is to do, by its shell.
const SCRIPT: &str = include_str!("bring-agent-up-to-date.sh");

/// Asks each instance that runs. One that cannot be asked is warned of: in its first minutes an instance is not yet
/// managed by Systems Manager, and then starts the stack's bundle anyway.
///
/// # Errors
///
/// When EC2 cannot be asked for the instances.
pub(super) async fn bring_up_to_date(
    cx: &Context,
    cloud: &Cloud,
    environment: &Environment,
) -> Result<(), CommandError> {
    let mut asked = Vec::new();
    for instance in instances::seen(cloud, environment).await? {
        if !instance.runs() {
            continue;
        }
        // Each by itself: a request for several is refused as a whole where one of them is not managed.
        match ask(cloud, &instance.id).await {
            Ok(()) => asked.push(instance.id),
            Err(error) => cx.ui.warn(format!(
                "{error}; it takes the stack's bundle when its agent starts, or with the next deploy"
            )),
        }
    }
    if !asked.is_empty() {
        cx.ui.done(format!(
            "The agent restarts where it has another bundle: asked {}",
            asked.join(", ")
        ));
    }
    Ok(())
}

async fn ask(cloud: &Cloud, instance: &str) -> Result<(), CommandError> {
    let lines = SCRIPT.lines().map(str::to_owned).collect();
    let request = cloud
        .ssm
        .send_command()
        .document_name("AWS-RunShellScript")
        .instance_ids(instance)
        .parameters("commands", lines);
    let doing = format!("ask {instance} for its agent's bundle");
    request.send().await.map_err(CommandError::aws(doing))?;
    Ok(())
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
