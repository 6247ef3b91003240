//! The device that a program trains on: that of the environment, and no other.

use annapurna_contract::Backend;
use ruff_python_ast::Expr;

use crate::finding::{Finding, Rule};
use crate::program::Program;
use crate::reach::Reach;

pub(crate) fn look(program: &Program<'_>, reach: &Reach, backend: Backend) -> Vec<Finding> {
    let mut found = Vec::new();
    if !matches!(backend, Backend::Cuda | Backend::Auto) {
        found.extend(program.exprs.iter().filter_map(|at| {
            let is_cuda = match at.node {
                Expr::StringLiteral(it) => is_cuda(it.value.to_str()),
                Expr::Attribute(it) => {
                    let path = program.path(at.node, at.place.scope);
                    // `.cuda()` of a model or tensor has no path.
                    match path {
                        Some(path) => path == "torch.cuda",
                        None => it.attr.as_str() == "cuda",
                    }
                }
                Expr::Name(_) => {
                    let path = program.path(at.node, at.place.scope);
                    path.is_some_and(|path| path.starts_with("torch.cuda"))
                }
                _ => false,
            };
            is_cuda.then(|| program.finding(Rule::Device, at.node, no_cuda(backend)))
        }));
    }
    if found.is_empty() && !uses_its_device(program, reach, backend) {
        found.push(crate::missing(Rule::Device, of_backend(backend)));
    }
    found
}

fn is_cuda(word: &str) -> bool {
    word == "cuda" || word.starts_with("cuda:")
}

fn no_cuda(backend: Backend) -> String {
    format!(
        "there is no `cuda` where programs run: {}",
        of_backend(backend)
    )
}

fn of_backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Xla => {
            "train on torch_xla's device (`import torch_xla.core.xla_model as xm`, `device = xm.xla_device()`)"
        }
        Backend::TorchNeuron => {
            "train on the device that torch names itself (`torch.accelerator.current_accelerator()`)"
        }
        Backend::Cuda | Backend::Auto => {
            "train on `torch.device('cuda' if torch.cuda.is_available() else 'cpu')`"
        }
        Backend::Cpu => "train on the processor, torch's default",
    }
}

/// Whether anything that is reached asks for the device. The processor needs no asking.
fn uses_its_device(program: &Program<'_>, reach: &Reach, backend: Backend) -> bool {
    if matches!(backend, Backend::Cpu | Backend::Auto) {
        return true;
    }
    let mut live = program.exprs.iter().filter(|at| reach.is_live(at.place));
    live.any(|at| {
        let path = || program.path(at.node, at.place.scope);
        let word = match at.node {
            Expr::StringLiteral(it) => it.value.to_str(),
            _ => "",
        };
        match backend {
            Backend::Xla => {
                let asks = |path: String| {
                    let is_device = path.ends_with(".xla_device") || path.ends_with(".device");
                    path.starts_with("torch_xla.") && is_device
                };
                word.starts_with("xla") || path().is_some_and(asks)
            }
            Backend::TorchNeuron => {
                let asks = |path: String| path.starts_with("torch.accelerator.");
                word.starts_with("neuron") || path().is_some_and(asks)
            }
            Backend::Cuda => is_cuda(word),
            Backend::Cpu | Backend::Auto => true,
        }
    })
}
