//! What a deployment may do: asked on our own plan before anything is uploaded, and held against each change
//! set, which may say more.

use std::cell::RefCell;
use std::collections::BTreeSet;

use annapurna_contract::nearest;
use annapurna_stack::environment::Environment;
use annapurna_stack::plan::{Change, Impact};

use crate::commands::plan::DeployPlan;
use crate::engine::Protection;
use crate::error::CommandError;
use crate::ui::Ui;

/// What a person, or the command line, has agreed to.
pub(super) struct Consent<'a> {
    pub(super) environment: &'a Environment,
    /// Answers the ordinary question.
    pub(super) yes: bool,
    /// Logical ids of what may be lost.
    pub(super) allowed: &'a [String],
    /// Answers the question for a name.
    pub(super) confirm: Option<&'a str>,
    /// What was shown and agreed to.
    agreed: RefCell<Vec<Change>>,
}

impl<'a> Consent<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        yes: bool,
        allowed: &'a [String],
        confirm: Option<&'a str>,
    ) -> Self {
        Self {
            environment,
            yes,
            allowed,
            confirm,
            agreed: RefCell::default(),
        }
    }

    /// Shows the plan and asks. `known` has the ids of all resources that are there or are to be there.
    ///
    /// # Errors
    ///
    /// When something would be lost that was not named, or something is named that nobody knows.
    pub(super) async fn to_plan(
        &self,
        ui: &Ui,
        plan: &DeployPlan,
        known: &BTreeSet<&str>,
    ) -> Result<bool, CommandError> {
        ui.result(plan)?;
        // An instance that goes loses nothing: what it runs is given back to its queue.
        let left = plan.remnant.iter().flat_map(|it| &it.resources);
        let at_stake: Vec<Change> = left.chain(&plan.resources).cloned().collect();
        self.refuse_unknown(&at_stake, known)?;
        self.refuse_losses(&at_stake)?;
        self.say_what_stays(ui, &at_stake);
        let changes = plan.remnants().next().is_some() || plan.changes().next().is_some();
        let lifts = plan.protection == Some(Protection::Lift);
        let agreed = !(changes || lifts) || self.ask(ui, &at_stake).await?;
        if agreed {
            self.agreed.borrow_mut().clone_from(&plan.resources);
        }
        Ok(agreed)
    }

    /// Asks again for what is worse than what was agreed to: CloudFormation follows references that a plan
    /// cannot, and the stack may have changed since.
    ///
    /// # Errors
    ///
    /// As [`Self::to_plan`].
    pub(super) async fn to_change_set(
        &self,
        ui: &Ui,
        changes: &[Change],
    ) -> Result<bool, CommandError> {
        let more = beyond(&self.agreed.borrow(), changes);
        if more.is_empty() {
            return Ok(true);
        }
        ui.status("CloudFormation would do more than the plan says:");
        for change in &more {
            ui.result(change)?;
        }
        self.refuse_losses(&more)?;
        let agreed = self.ask(ui, &more).await?;
        if agreed {
            self.agreed.borrow_mut().extend(more);
        }
        Ok(agreed)
    }

    /// A name that no resource has is a slip, and what was meant is not what is agreed to.
    fn refuse_unknown(
        &self,
        at_stake: &[Change],
        known: &BTreeSet<&str>,
    ) -> Result<(), CommandError> {
        let is_unknown = |id: &&String| !known.contains(id.as_str());
        let Some(unknown) = self.allowed.iter().find(is_unknown) else {
            return Ok(());
        };
        let lost = at_stake.iter().filter(|it| it.is_dangerous());
        let lost: Vec<&str> = lost.map(|it| it.resource.as_str()).collect();
        let nearest = nearest(unknown, lost.iter().copied())
            .or_else(|| nearest(unknown, known.iter().copied()));
        Err(CommandError::Usage {
            problem: format!(
                "--allow-replace {unknown}: no resource of the stack or of its template has that id, so nothing was done"
            ),
            hint: match (nearest, lost.is_empty()) {
                (Some(nearest), _) => format!("did you mean `{nearest}`?"),
                (None, false) => format!("what this plan would lose: {}", lost.join(", ")),
                (None, true) => "leave it out: this plan loses nothing".to_owned(),
            },
        })
    }

    /// What is named and stays is no mistake: it went in an earlier try of the same command, or CloudFormation finds
    /// only later that it has to go.
    fn say_what_stays(&self, ui: &Ui, at_stake: &[Change]) {
        for id in self.allowed {
            let goes = |it: &Change| it.is_dangerous() && it.resource == *id;
            if !at_stake.iter().any(goes) {
                ui.warn(format!(
                    "--allow-replace {id}: this plan does not replace it"
                ));
            }
        }
    }

    /// Nothing that holds something goes without being named, whatever else is answered.
    fn refuse_losses(&self, changes: &[Change]) -> Result<(), CommandError> {
        let losses: Vec<&Change> = changes
            .iter()
            .filter(|it| it.is_dangerous() && !self.allowed.contains(&it.resource))
            .collect();
        if losses.is_empty() {
            return Ok(());
        }
        let line = |it: &&Change| {
            let (id, kind, word) = (&it.resource, &it.type_name, it.impact.word());
            format!("  `{id}` ({kind}): {word}")
        };
        let lines: Vec<String> = losses.iter().map(line).collect();
        let flags: Vec<String> = self
            .allowed
            .iter()
            .chain(losses.iter().map(|it| &it.resource))
            .map(|id| format!("--allow-replace {id}"))
            .collect();
        Err(CommandError::Usage {
            problem: format!(
                "what these hold would be lost, so nothing was done:\n{}",
                lines.join("\n")
            ),
            hint: format!(
                "if it may go: cargo infra deploy {} {}",
                self.environment.name,
                flags.join(" ")
            ),
        })
    }

    /// In AWS every change is asked about, on this machine only a loss. A protected environment asks for its
    /// name, and for a loss in it `--yes` is no answer.
    async fn ask(&self, ui: &Ui, changes: &[Change]) -> Result<bool, CommandError> {
        let name = &self.environment.name;
        let loses = changes.iter().any(Change::is_dangerous);
        let question = match loses {
            true => format!("Deploy `{name}`? Some resources are replaced or destroyed."),
            false if self.environment.local().is_some() => return Ok(true),
            false => format!("Deploy `{name}`?"),
        };
        let by_name = self.environment.protected;
        if by_name && self.confirm == Some(name.as_str()) {
            return Ok(true);
        }
        if self.yes && !(by_name && loses) {
            return Ok(true);
        }
        match by_name {
            true => {
                let flag = match loses {
                    true => format!("--confirm {name}"),
                    false => "--yes".to_owned(),
                };
                ui.confirm_by_name(&question, name, &flag).await
            }
            false => ui.confirm(&question).await,
        }
    }
}

/// The changes that are worse than what was agreed to, or that nobody was shown. Importing what is there is done in two
/// steps: to what was made or imported in the first anything may be done in the second that loses nothing.
fn beyond(agreed: &[Change], changes: &[Change]) -> Vec<Change> {
    let is_covered = |change: &&Change| {
        let mut known = agreed.iter().filter(|it| it.resource == change.resource);
        known.any(|known| {
            let is_new = matches!(known.impact, Impact::Create | Impact::Import);
            let is_import = change.impact == Impact::Import;
            change.impact >= known.impact || (is_new && !is_import && !change.is_dangerous())
        })
    };
    let more = changes.iter().filter(|change| !is_covered(change));
    more.cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use annapurna_stack::plan::{
        ChangeSetAction, ChangeSetEntry, Deployment, Replacement, changes, merge_change_set,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::Remnant;
    use crate::index::IndexPlans;

    fn environment(name: &str) -> Environment {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        Environment::load(&folder, name).unwrap()
    }

    /// A change of the queue `It` with this impact.
    fn change(impact: Impact) -> [Change; 1] {
        let deployment = |resources: Value| Deployment {
            template: json!({ "Resources": resources }),
            parameters: BTreeMap::new(),
        };
        let queue = |name: &str, timeout: u32| {
            let properties = json!({"QueueName": name, "VisibilityTimeout": timeout});
            deployment(json!({"It": {"Type": "AWS::SQS::Queue", "Properties": properties}}))
        };
        let none = || deployment(json!({}));
        let (old, new) = match impact {
            Impact::Create => (none(), queue("a", 30)),
            Impact::Destroy => (queue("a", 30), none()),
            Impact::Replace => (queue("a", 30), queue("b", 30)),
            _ => (queue("a", 30), queue("a", 31)),
        };
        let mut changes = changes(&old, &new);
        if impact == Impact::MayReplace {
            let entry = ChangeSetEntry {
                resource: "It".to_owned(),
                type_name: "AWS::SQS::Queue".to_owned(),
                action: ChangeSetAction::Modify,
                replacement: Replacement::Conditional,
            };
            merge_change_set(&mut changes, &[entry]);
        }
        assert_eq!(changes[0].impact, impact);
        changes.try_into().unwrap()
    }

    /// What becomes of a change where nobody can be asked: tests have no terminal.
    async fn outcome(
        name: &str,
        impact: Impact,
        yes: bool,
        allowed: &[&str],
        confirm: Option<&str>,
    ) -> Result<bool, String> {
        let environment = environment(name);
        let allowed: Vec<String> = allowed.iter().map(|it| (*it).to_owned()).collect();
        let consent = Consent::new(&environment, yes, &allowed, confirm);
        answered(&consent, &plan(name, change(impact).to_vec(), None)).await
    }

    fn plan(name: &str, resources: Vec<Change>, remnant: Option<Remnant>) -> DeployPlan {
        DeployPlan {
            environment: name.to_owned(),
            remnant,
            instances_remnant: None,
            resources,
            instances: Vec::new(),
            notes: Vec::new(),
            protection: None,
            indexes: IndexPlans::UP_TO_DATE,
            agent: None,
        }
    }

    async fn answered(consent: &Consent<'_>, plan: &DeployPlan) -> Result<bool, String> {
        let known = BTreeSet::from(["It", "Other"]);
        let agreed = consent.to_plan(&Ui::unattended(), plan, &known).await;
        agreed.map_err(|error| format!("{error} — {}", error.hint().unwrap_or_default()))
    }

    #[tokio::test]
    async fn what_a_failed_deployment_left_is_lost_only_where_it_is_named() {
        let left = |resources: &[Change]| Remnant {
            stack: "annapurna-prod".to_owned(),
            id: "annapurna-prod/1".to_owned(),
            resources: resources.to_vec(),
        };
        let answer = async |name, resources, allowed: &[&str], confirm| {
            let allowed: Vec<String> = allowed.iter().map(|it| (*it).to_owned()).collect();
            let environment = environment(name);
            let consent = Consent::new(&environment, true, &allowed, confirm);
            let plan = plan(name, Vec::new(), Some(left(resources)));
            answered(&consent, &plan).await
        };
        let queue = change(Impact::Destroy);
        for environment in ["dev", "prod"] {
            let refused = answer(environment, &queue, &[], Some(environment)).await;
            let refused = refused.unwrap_err();
            assert!(
                refused.contains("`It` (AWS::SQS::Queue): destroy"),
                "{refused}"
            );
            let empty = answer(environment, &[], &[], None).await;
            assert_eq!(empty, Ok(true), "nothing of it is there");
        }
        assert_eq!(answer("dev", &queue, &["It"], None).await, Ok(true));
        let unnamed = answer("prod", &queue, &["It"], None).await.unwrap_err();
        assert!(unnamed.contains("Type `prod`:"), "{unnamed}");
        let named = answer("prod", &queue, &["It"], Some("prod")).await;
        assert_eq!(named, Ok(true));
    }

    #[tokio::test]
    async fn a_name_that_no_resource_has_ends_the_deploy_with_the_one_that_was_meant() {
        for (given, impact, hint) in [
            ("Othr", Impact::Update, "did you mean `Other`?"),
            ("Queue", Impact::Destroy, "what this plan would lose: It"),
            ("Queue", Impact::Update, "leave it out"),
        ] {
            for environment in ["local", "dev", "prod"] {
                let refused = outcome(environment, impact, true, &["It", given], None).await;
                let refused = refused.unwrap_err();
                let problem = format!("--allow-replace {given}: no resource");
                assert!(
                    refused.contains(&problem) && refused.contains(hint),
                    "{refused}"
                );
            }
        }
        // Run again after it was replaced, the command goes on.
        let again = outcome("dev", Impact::Update, true, &["It"], None).await;
        assert_eq!(again, Ok(true));
    }

    #[tokio::test]
    async fn yes_loses_nothing_and_what_may_go_is_named() {
        for environment in ["local", "dev", "prod"] {
            for impact in [Impact::Replace, Impact::MayReplace, Impact::Destroy] {
                let refused = outcome(environment, impact, true, &[], Some(environment)).await;
                let refused = refused.unwrap_err();
                assert!(refused.contains("`It` (AWS::SQS::Queue): "), "{refused}");
                assert!(
                    refused.ends_with(&format!(
                        "cargo infra deploy {environment} --allow-replace It"
                    )),
                    "{refused}"
                );
            }
            let other = outcome(environment, Impact::Replace, true, &["Other"], None).await;
            assert!(
                other
                    .unwrap_err()
                    .contains("--allow-replace Other --allow-replace It")
            );
        }
        for environment in ["local", "dev"] {
            let agreed = outcome(environment, Impact::Replace, true, &["It"], None).await;
            assert_eq!(agreed, Ok(true));
        }
    }

    #[tokio::test]
    async fn a_loss_in_a_protected_environment_takes_its_name() {
        let loss =
            async |yes, confirm| outcome("prod", Impact::Replace, yes, &["It"], confirm).await;
        let asked = loss(true, None).await.unwrap_err();
        assert!(asked.contains("Type `prod`:"), "{asked}");
        assert!(asked.ends_with("answer it with --confirm prod"), "{asked}");
        assert!(loss(true, Some("dev")).await.is_err());
        assert_eq!(loss(false, Some("prod")).await, Ok(true));
    }

    #[tokio::test]
    async fn every_change_in_aws_is_asked_about_and_on_this_machine_none_but_a_loss() {
        let update = async |name, yes| outcome(name, Impact::Update, yes, &[], None).await;
        assert_eq!(update("local", false).await, Ok(true));
        let dev = update("dev", false).await.unwrap_err();
        assert!(dev.contains("\"Deploy `dev`? [y/N]\""), "{dev}");
        let prod = update("prod", false).await.unwrap_err();
        assert!(prod.contains("Type `prod`:"), "{prod}");
        assert_eq!(update("dev", true).await, Ok(true));
        assert_eq!(update("prod", true).await, Ok(true));
        let loss = outcome("local", Impact::Replace, false, &["It"], None).await;
        assert!(loss.unwrap_err().contains("replaced or destroyed"));
    }

    #[test]
    fn what_a_change_set_adds_is_shown_again_and_what_it_repeats_is_not() {
        let [create, update, may_replace, replace] = [
            Impact::Create,
            Impact::Update,
            Impact::MayReplace,
            Impact::Replace,
        ]
        .map(change);
        let mut import = create.clone();
        import[0].impact = Impact::Import;
        assert!(beyond(&create, &create).is_empty());
        assert_eq!(beyond(&create, &import), import, "it is somebody's");
        assert!(beyond(&import, &import).is_empty());
        assert!(beyond(&import, &create).is_empty(), "it is gone since");
        assert!(beyond(&import, &update).is_empty());
        assert_eq!(beyond(&import, &replace), replace);
        assert!(beyond(&create, &update).is_empty());
        assert_eq!(beyond(&create, &replace), replace);
        assert_eq!(beyond(&update, &may_replace), may_replace);
        assert!(beyond(&replace, &update).is_empty(), "less is agreed to");
        assert_eq!(beyond(&[], &update), update, "nobody was shown it");
    }

    #[tokio::test]
    async fn a_change_set_that_loses_more_than_the_plan_is_refused() {
        let environment = environment("dev");
        let consent = Consent::new(&environment, true, &[], None);
        let more = change(Impact::Replace);
        let refused = consent
            .to_change_set(&Ui::unattended(), &more)
            .await
            .unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{refused}");
    }
}
