//! What programs train on, as a setting of the environment: the generator writes for it, the agent offers it.

use std::fmt;
use std::str::FromStr;

/// The device of programs, and the library by which they reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// NeuronCores by PyTorch/XLA (`torch_xla`): trn1, up to Neuron SDK 2.29.
    Xla,
    /// NeuronCores as PyTorch's device `neuron`: trn2 and trn3, from Neuron SDK 2.33 on.
    TorchNeuron,
    /// A GPU of this machine.
    Cuda,
    /// The machine's processor.
    Cpu,
    /// What torch sees when the program starts: a GPU, else the processor.
    Auto,
}

/// A word that names no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no backend: xla, torch-neuron, cuda, cpu or auto")]
pub struct NotABackend(String);

impl Backend {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Xla,
        Self::TorchNeuron,
        Self::Cuda,
        Self::Cpu,
        Self::Auto,
    ];

    /// The word in settings and variables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xla => "xla",
            Self::TorchNeuron => "torch-neuron",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
            Self::Auto => "auto",
        }
    }

    /// Whether its device is a NeuronCore.
    pub fn is_neuron(self) -> bool {
        matches!(self, Self::Xla | Self::TorchNeuron)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = NotABackend;

    fn from_str(word: &str) -> Result<Self, NotABackend> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == word);
        found.ok_or_else(|| NotABackend(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_back_and_no_other_is() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        let error = "XLA".parse::<Backend>().unwrap_err().to_string();
        assert!(
            error.contains("`XLA`") && error.contains("torch-neuron"),
            "{error}"
        );
    }
}
