//! The image of the instance: whether its name resolves, which Neuron SDK it brings, and whether the volume holds it.

use annapurna_local::doctor::State;
use annapurna_stack::environment::TrainiumSettings;
use aws_sdk_ec2::types::Image;

use super::{Subject, without};
use crate::error::CommandError;

/// The last Neuron SDK, 2.x, with which AWS supports training by PyTorch/XLA, which is what programs are written for.
/// Source: Neuron documentation, "Neuron no longer supports PyTorch/XLA for training starting with Neuron 2.30".
const LAST_XLA_TRAINING: u32 = 29;
/// The last one whose images bring PyTorch/XLA. Source: Neuron 2.32 documentation, "Install PyTorch for Neuron".
const LAST_WITH_XLA: u32 = 31;

pub(super) async fn look(
    subject: &Subject<'_>,
    settings: &TrainiumSettings,
) -> Result<State, CommandError> {
    let parameter = settings.image_parameter.as_str();
    let found = subject.cloud.ssm.get_parameter().name(parameter);
    let found = match found.send().await {
        Ok(found) => found,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_parameter_not_found()) =>
        {
            return Ok(without(
                format!(
                    "no parameter `{parameter}` in {}",
                    subject.environment.region
                ),
                "aws ssm get-parameters-by-path --path /aws/service/neuron/dlami --recursive",
            ));
        }
        Err(error) => {
            return Err(CommandError::aws(format!("read parameter `{parameter}`"))(
                error,
            ));
        }
    };
    let id = found.parameter().and_then(|it| it.value());
    let id =
        id.ok_or_else(|| CommandError::lacks(format!("read parameter `{parameter}`"), "image id"))?;
    let images = subject
        .cloud
        .ec2
        .describe_images()
        .image_ids(id)
        .send()
        .await;
    let images = images.map_err(CommandError::aws(format!("describe image {id}")))?;
    Ok(match images.images().first() {
        Some(image) => judged(subject, settings, id, image),
        None => without(
            format!("`{parameter}` names image {id}, which is not there"),
            format!("another image-parameter in {}", subject.file()),
        ),
    })
}

fn judged(subject: &Subject<'_>, settings: &TrainiumSettings, id: &str, image: &Image) -> State {
    let name = image.name().unwrap_or_default();
    let words = format!("{name} {}", image.description().unwrap_or_default());
    let file = subject.file();
    if !words.to_lowercase().contains("neuron") {
        return without(
            format!("image {id} ({name}) is no Neuron image: programs run on the processor"),
            format!("an image-parameter below /aws/service/neuron/dlami in {file}"),
        );
    }
    let size = size_gib(image);
    if let Some(needs) = size
        && needs > settings.volume_gib
    {
        return without(
            format!(
                "image {id} needs {needs} GiB, volume-gib is {}",
                settings.volume_gib
            ),
            format!("volume-gib = {needs} in {file}"),
        );
    }
    let other = format!(
        "an image-parameter of an image of SDK 2.{LAST_XLA_TRAINING} in {file}; docs/aws.md, \"The image\""
    );
    match sdk(&words) {
        Some(minor) if minor > LAST_WITH_XLA => without(
            format!(
                "image {id} has Neuron SDK 2.{minor}, without PyTorch/XLA: programs run on the processor"
            ),
            other,
        ),
        Some(minor) if minor > LAST_XLA_TRAINING => without(
            format!(
                "image {id} has Neuron SDK 2.{minor}; AWS supports training by PyTorch/XLA up to 2.{LAST_XLA_TRAINING}"
            ),
            other,
        ),
        Some(minor) => {
            let size = size.map_or_else(String::new, |gib| format!(", {gib} GiB"));
            State::Ok(format!("{id}, Neuron SDK 2.{minor}{size}"))
        }
        None => without(
            format!("image {id} ({name}) does not say which Neuron SDK it has"),
            format!("make sure that it is 2.{LAST_XLA_TRAINING} or older"),
        ),
    }
}

/// Of the root device's snapshot, GiB, where the image says it.
fn size_gib(image: &Image) -> Option<u32> {
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
fn sdk(words: &str) -> Option<u32> {
    let words = words.to_lowercase();
    let after = words.split("neuron").skip(1);
    let minor = |rest: &str| {
        let rest = rest.trim_start_matches(|it: char| !it.is_ascii_digit());
        let digits = rest.strip_prefix("2.")?;
        let end = digits.find(|it: char| !it.is_ascii_digit());
        digits[..end.unwrap_or(digits.len())].parse().ok()
    };
    // PyTorch's own versions are 2.x, too: its name comes between the words and the number.
    after
        .filter(|rest| {
            let number = rest.find(|it: char| it.is_ascii_digit());
            number.is_some_and(|at| !rest[..at].contains("torch"))
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
            ("Ubuntu Server 22.04", None),
        ] {
            assert_eq!(sdk(words), minor, "{words}");
        }
    }
}
