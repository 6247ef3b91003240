//! What a machine image says of itself: which Neuron SDK it has, how large its disk is, and whether programs of a
//! backend train on it.

use annapurna_contract::Backend;
use annapurna_stack::environment::InstanceImage;
use aws_sdk_ec2::types::{Filter, Image};

use crate::cloud::Cloud;
use crate::error::CommandError;

/// The last Neuron SDK, 2.x, with which AWS supports training by PyTorch/XLA.
/// Source: Neuron documentation, "Neuron no longer supports PyTorch/XLA for training starting with Neuron 2.30".
pub(crate) const LAST_XLA_TRAINING: u32 = 29;
/// The last one whose images bring PyTorch/XLA. Source: Neuron 2.32 documentation, "Install PyTorch for Neuron".
pub(crate) const LAST_WITH_XLA: u32 = 31;
/// The first one with PyTorch's own device `neuron`. Source: Neuron 2.33 documentation, "Release Notes: TorchNeuron".
pub(crate) const FIRST_TORCH_NEURON: u32 = 33;

/// Whether programs of a backend train on an image of this SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trains {
    /// AWS supports it.
    Yes,
    /// The library is there, and AWS supports it no longer.
    Unsupported,
    /// The library is not there.
    No,
}

/// What an SDK means for a backend of NeuronCores; of another backend an image decides nothing.
pub(crate) fn trains(backend: Backend, sdk: u32) -> Trains {
    match backend {
        Backend::Xla if sdk <= LAST_XLA_TRAINING => Trains::Yes,
        Backend::Xla if sdk <= LAST_WITH_XLA => Trains::Unsupported,
        Backend::TorchNeuron if sdk >= FIRST_TORCH_NEURON => Trains::Yes,
        Backend::Xla | Backend::TorchNeuron => Trains::No,
        Backend::Cuda | Backend::Cpu | Backend::Auto => Trains::Yes,
    }
}

/// The id that the settings name and its image, `None` where no image has it; `None` for both where the parameter that
/// would name it is not there.
///
/// # Errors
///
/// When Systems Manager or EC2 does not answer.
pub(crate) async fn image_of(
    cloud: &Cloud,
    named: InstanceImage<'_>,
) -> Result<Option<(String, Option<Image>)>, CommandError> {
    let id = match named {
        InstanceImage::Pinned(id) => id.to_owned(),
        InstanceImage::Parameter(parameter) => match parameter_value(cloud, parameter).await? {
            Some(id) => id,
            None => return Ok(None),
        },
    };
    // By a filter, since an id that is not there would be an error that says no more than an empty list.
    let by_id = Filter::builder().name("image-id").values(&id).build();
    let images = cloud.ec2.describe_images().filters(by_id).send().await;
    let images = images.map_err(CommandError::aws(format!("describe image {id}")))?;
    Ok(Some((id, images.images().first().cloned())))
}

async fn parameter_value(cloud: &Cloud, parameter: &str) -> Result<Option<String>, CommandError> {
    let found = cloud.ssm.get_parameter().name(parameter).send().await;
    let found = match found {
        Ok(found) => found,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_parameter_not_found()) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(CommandError::aws(format!("read parameter `{parameter}`"))(
                error,
            ));
        }
    };
    let id = found.parameter().and_then(|it| it.value());
    let lacks = || CommandError::lacks(format!("read parameter `{parameter}`"), "image id");
    id.map(|id| Some(id.to_owned())).ok_or_else(lacks)
}

/// Name and description together.
pub(crate) fn words(image: &Image) -> String {
    let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
    format!("{} {}", part(image.name()), part(image.description()))
}

/// Of the root device's snapshot, GiB, where the image says it.
pub(crate) fn size_gib(image: &Image) -> Option<u32> {
    let root = image.root_device_name();
    let device = image
        .block_device_mappings()
        .iter()
        .find(|it| it.device_name() == root);
    let size = device.and_then(|it| it.ebs()?.volume_size())?;
    u32::try_from(size).ok()
}

/// The minor version of the SDK after the words that name it, such as `Neuron SDK 2.29.1`.
/// Source: Neuron documentation, "Neuron DLAMIs no longer include NxD Training": the version is in name and description.
pub(crate) fn sdk(words: &str) -> Option<u32> {
    let words = words.to_lowercase();
    let after = words.split("neuron").skip(1);
    let minor = |rest: &str| {
        let rest = rest.trim_start_matches(|it: char| !it.is_ascii_digit());
        let digits = rest.strip_prefix("2.")?;
        let end = digits.find(|it: char| !it.is_ascii_digit());
        digits[..end.unwrap_or(digits.len())].parse().ok()
    };
    // PyTorch's own versions are 2.x, too: its name comes between the words and the number, or the number follows the
    // library `torch-neuronx`.
    after
        .filter(|rest| {
            let number = rest.find(|it: char| it.is_ascii_digit());
            number.is_some_and(|at| !rest[..at].contains("torch") && !rest.starts_with("x "))
        })
        .find_map(minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_read_from_name_and_description() {
        for (words, minor) in [
            (
                "Deep Learning AMI Neuron (Ubuntu 22.04) Neuron SDK 2.29.0",
                Some(29),
            ),
            (
                "Deep Learning AMI Neuron 20260101, Neuron SDK: 2.33.1 for Trn1",
                Some(33),
            ),
            ("Neuron SDK version 2.9", Some(9)),
            ("Deep Learning AMI Neuron PyTorch 2.9 (Ubuntu 22.04)", None),
            (
                "Deep Learning AMI Neuron torch-neuronx 2.14.0 (Ubuntu 24.04)",
                None,
            ),
            (
                "Deep Learning AMI Neuron torch-neuronx 2.14.0 (Ubuntu 24.04) with Neuron SDK 2.33.0",
                Some(33),
            ),
            ("Ubuntu Server 22.04", None),
        ] {
            assert_eq!(sdk(words), minor, "{words}");
        }
    }

    #[test]
    fn each_backend_has_its_sdks() {
        let xla = [29, 30, 31, 32].map(|sdk| trains(Backend::Xla, sdk));
        let wanted = [
            Trains::Yes,
            Trains::Unsupported,
            Trains::Unsupported,
            Trains::No,
        ];
        assert_eq!(xla, wanted);
        let native = [29, 32, 33].map(|sdk| trains(Backend::TorchNeuron, sdk));
        assert_eq!(native, [Trains::No, Trains::No, Trains::Yes]);
    }
}
