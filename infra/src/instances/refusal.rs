//! Why EC2 refuses a launch, and what a person can do about it.

use annapurna_stack::environment::Environment;

use super::zones::{Zones, listed};

/// What a refusal is about. CloudFormation passes on EC2's message, with its code or without.
/// Source: EC2 API reference, "Error codes"; the messages as EC2 words them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another zone may have room for it.
    Zone,
    /// The account may not run so many: no zone helps.
    Quota,
    /// Anything else: no zone helps.
    Other,
}

impl Refusal {
    pub(super) fn of(reason: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if says(&["VcpuLimitExceeded", "InstanceLimitExceeded", "vCPU limit"]) {
            return Self::Quota;
        }
        let no_room = [
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "do not have sufficient",
            "not supported in your requested Availability Zone",
        ];
        match says(&no_room) {
            true => Self::Zone,
            false => Self::Other,
        }
    }
}

/// "Running On-Demand Trn instances", counted in vCPUs: 8 for a `trn1.2xlarge`. Source: Service Quotas, Amazon EC2.
pub(crate) const TRN_QUOTA: &str = "L-2C3B7624";

/// Where the account's quota is raised for instances of this type.
pub(super) fn raise_quota(region: &str, kind: &str) -> String {
    let of_trn = kind.starts_with("trn").then(|| format!("/{TRN_QUOTA}"));
    format!(
        "ask for the vCPUs of a running {kind} (8 for trn1.2xlarge) and deploy again when they are granted: \
         https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas{}",
        of_trn.unwrap_or_default()
    )
}

/// Problem and hint where every zone refused.
pub(super) fn no_capacity(environment: &Environment, zones: &Zones) -> (String, String) {
    let problem = format!("no zone has room for it now: {}", listed(zones.names()));
    let hint = format!(
        "capacity changes by the hour: run cargo infra deploy {} again, or name a subnet in another zone in [trainium]",
        environment.name
    );
    (problem, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_of_a_type_has_its_own_page() {
        let trn = raise_quota("us-west-2", "trn1.2xlarge");
        assert!(trn.contains("https://us-west-2.console"), "{trn}");
        assert!(trn.ends_with("/ec2/quotas/L-2C3B7624"), "{trn}");
        let other = raise_quota("us-west-2", "g6.xlarge");
        assert!(other.ends_with("/ec2/quotas"), "{other}");
    }

    #[test]
    fn ec2s_words_say_whether_another_zone_helps() {
        for (reason, refusal) in [
            (
                "Resource handler returned message: \"We currently do not have sufficient trn1.2xlarge capacity in the \
                 Availability Zone you requested (us-east-1a). Our system will be working on provisioning additional \
                 capacity. (Service: Ec2, Status Code: 500, Request ID: 5)\" (RequestToken: 6, HandlerErrorCode: \
                 GeneralServiceException)",
                Refusal::Zone,
            ),
            (
                "Your requested instance type (trn1.2xlarge) is not supported in your requested Availability Zone \
                 (us-east-1e). Please retry your request by not specifying an Availability Zone or choosing us-east-1a.",
                Refusal::Zone,
            ),
            (
                "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket \
                 that the specified instance type belongs to.",
                Refusal::Quota,
            ),
            (
                "... (Service: AmazonEC2; Status Code: 400; Error Code: VcpuLimitExceeded; Request ID: 1)",
                Refusal::Quota,
            ),
            (
                "Value (p) for parameter iamInstanceProfile.name is invalid.",
                Refusal::Other,
            ),
            (
                "The image id '[ami-0]' does not exist (Service: Ec2, Status Code: 400)",
                Refusal::Other,
            ),
        ] {
            assert_eq!(Refusal::of(reason), refusal, "{reason}");
        }
    }
}
