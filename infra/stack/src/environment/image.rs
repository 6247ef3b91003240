//! Whether image, instance type and backend of `[trainium]` fit together, as far as words tell.

use annapurna_contract::Backend;

use super::problems::Problems;
use super::settings::TrainiumSettings;

/// The families whose NeuronCores a backend reaches. Sources: Neuron documentation, "Neuron no longer supports
/// PyTorch/XLA for training starting with Neuron 2.30", and "TorchNeuron": trn2 and trn3.
fn families(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Xla => &["trn1", "trn1n"],
        Backend::TorchNeuron => &["trn2", "trn2u", "trn3"],
        Backend::Cuda | Backend::Cpu | Backend::Auto => &[],
    }
}

pub(super) fn check(trainium: &TrainiumSettings, problems: &mut Problems) {
    let kind = trainium.instance_type.as_str();
    let backend = trainium.backend();
    let family = kind.split_once('.').map_or(kind, |(family, _)| family);
    let fitting = families(backend);
    problems.require(
        fitting.contains(&family),
        format!(
            "trainium.backend `{backend}` goes with an instance-type of {}, got `{kind}`",
            fitting.join(", ")
        ),
    );
    for (region, id) in &trainium.image_ids {
        problems.require(
            is_image(id),
            format!(
                "trainium.image-ids.{region} must be such as ami-0123456789abcdef0, got `{id}`"
            ),
        );
    }
}

/// `ami-` and 8 or 17 hexadecimal digits. Source: EC2 user guide, "resource IDs".
fn is_image(id: &str) -> bool {
    let digits = id.strip_prefix("ami-").unwrap_or("");
    let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(digits.len(), 8 | 17) && digits.bytes().all(is_hexadecimal)
}
