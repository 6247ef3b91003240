//! Texts that mean something: what is an ARN, what an address and what a name cannot be given for one another.

use serde::Serialize;

use super::{Expr, LogicalId};

macro_rules! meaning {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub(crate) struct $name(Expr);

        impl AsRef<Expr> for $name {
            fn as_ref(&self) -> &Expr {
                &self.0
            }
        }

        impl From<$name> for Expr {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

meaning!(
    /// An Amazon Resource Name, or `*` in a policy for every resource.
    Arn
);
meaning!(
    /// An address: a queue's, an endpoint's.
    Url
);
meaning!(
    /// A resource's own name or id, as its service takes it in a call.
    Name
);

impl Arn {
    pub(crate) fn of(id: &LogicalId) -> Self {
        Self(Expr::attribute(id, "Arn"))
    }

    /// The ARN of a resource whose `Ref` it is, such as a state machine's or a topic's.
    pub(crate) fn of_reference(id: &LogicalId) -> Self {
        Self(Expr::reference(id))
    }

    /// Every resource: for actions without resource-level permissions, and for everyone as a principal.
    pub(crate) fn any() -> Self {
        Self(Expr::from("*"))
    }

    /// A resource in this stack's partition, region and account, by its name.
    pub(crate) fn in_account(service: &str, resource: impl Into<Expr>) -> Self {
        Self::in_partition([
            Expr::Literal(format!(":{service}:")),
            Expr::region(),
            Expr::from(":"),
            Expr::account(),
            Expr::from(":"),
            resource.into(),
        ])
    }

    /// A resource of this partition without region and account, such as a bucket.
    pub(crate) fn global(service: &str, resource: impl Into<Expr>) -> Self {
        Self::in_partition([Expr::Literal(format!(":{service}:::")), resource.into()])
    }

    /// A policy that AWS maintains.
    pub(crate) fn managed_policy(name: &str) -> Self {
        Self::in_partition([Expr::Literal(format!(":iam::aws:policy/{name}"))])
    }

    /// The account itself as a principal: `arn:…:iam::ACCOUNT:root`.
    pub(crate) fn account_root() -> Self {
        Self::in_partition([Expr::from(":iam::"), Expr::account(), Expr::from(":root")])
    }

    /// `arn:PARTITION` and the rest of it.
    pub(crate) fn in_partition(rest: impl IntoIterator<Item = Expr>) -> Self {
        let start = [Expr::from("arn:"), Expr::Ref("AWS::Partition".to_owned())];
        Self(Expr::concat(start.into_iter().chain(rest)))
    }

    /// It and then these parts.
    pub(crate) fn followed_by_each(self, rest: impl IntoIterator<Item = Expr>) -> Self {
        Self(Expr::concat([self.0].into_iter().chain(rest)))
    }

    /// What is below it: objects of a bucket, paths of an index.
    pub(crate) fn followed_by(&self, rest: impl Into<Expr>) -> Self {
        Self(Expr::concat([self.0.clone(), rest.into()]))
    }
}

impl Url {
    /// The address of a queue, which its `Ref` is.
    pub(crate) fn of_queue(id: &LogicalId) -> Self {
        Self(Expr::reference(id))
    }

    /// An address that is written out or made of parts, with its scheme.
    pub(crate) fn from_parts(address: impl Into<Expr>) -> Self {
        Self(address.into())
    }
}

impl Name {
    /// The name or id that CloudFormation gives a resource, which its `Ref` is.
    pub(crate) fn of(id: &LogicalId) -> Self {
        Self(Expr::reference(id))
    }
}
