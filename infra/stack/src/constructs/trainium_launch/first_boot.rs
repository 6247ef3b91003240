//! The script of the instance's first boot: the agent's variables, and what installs the agent.

use annapurna_contract::{AgentConfig, Backend};

use crate::cloudformation::Expr;

/// What the agent is told, as the instance's user data.
#[derive(Debug)]
pub(super) struct FirstBoot {
    /// Its queue and buckets.
    pub(super) config: AgentConfig<Expr>,
    /// Such as `trn1.2xlarge`.
    pub(super) instance_type: String,
    /// What programs train on.
    pub(super) backend: Backend,
    /// Where its journal goes.
    pub(super) log_group: String,
    /// Minutes without work after which the agent stops the machine.
    pub(super) idle_stop_minutes: u32,
    /// The parameter of Systems Manager that names its bundle.
    pub(super) bundle_parameter: String,
}

impl FirstBoot {
    /// The script, as user data has it before it is encoded.
    ///
    /// User data runs once, and what it needs may be out of reach just then: what it installs becomes a systemd
    /// unit that is tried until it succeeds.
    pub(super) fn script(self) -> Expr {
        let mut variables = self.config.into_variables();
        variables.extend([
            ("AWS_REGION", Expr::region()),
            ("AGENT_INSTANCE_TYPE", Expr::from(self.instance_type)),
            ("AGENT_BACKEND", Expr::from(self.backend.as_str())),
            ("AGENT_LOG_GROUP", Expr::from(self.log_group)),
            (
                "AGENT_IDLE_STOP_MINUTES",
                Expr::from(self.idle_stop_minutes.to_string()),
            ),
            ("AGENT_BUNDLE_PARAMETER", Expr::from(self.bundle_parameter)),
        ]);
        let variables = variables
            .into_iter()
            .flat_map(|(name, value)| [Expr::Literal(format!("{name}=")), value, Expr::from("\n")]);
        let begin = concat!(
            "#!/bin/bash\ninstall -d -m 755 /etc/annapurna\n",
            "cat > /etc/annapurna/agent.env <<'VARIABLES'\n"
        );
        let rest = [
            "VARIABLES\ncat > /usr/local/sbin/annapurna-first-boot <<'FIRST_BOOT'\n",
            include_str!("../../../../../trainium/host/first-boot.sh"),
            "FIRST_BOOT\nchmod 755 /usr/local/sbin/annapurna-first-boot\n",
            "cat > /etc/systemd/system/annapurna-first-boot.service <<'UNIT'\n",
            include_str!("../../../../../trainium/host/annapurna-first-boot.service"),
            "UNIT\nsystemctl daemon-reload\n",
            "systemctl enable --now --no-block annapurna-first-boot.service\n",
        ];
        let parts = [Expr::from(begin)].into_iter().chain(variables);
        Expr::concat(parts.chain(rest.map(Expr::from)))
    }
}
