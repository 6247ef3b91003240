//! Parameters and tensors whose sizes stand in the program, against the memory of one NeuronCore.
//!
//! An estimate from below: what a size is computed from is not known here. Sixteen bytes a parameter: its value, its
//! gradient and the two moments of Adam, as float32.

use ruff_python_ast::{Expr, ExprCall};

use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;

/// Parameters of a program, at most: half of one NeuronCore's memory, 16 GiB, the other half being for activations.
/// Source: AWS Neuron documentation, "Trn1 architecture": 32 GiB for two NeuronCores-v2.
pub(crate) const MOST_PARAMETERS: u64 = 512 << 20;
/// Numbers of one tensor, at most: a quarter of the memory as float32.
const MOST_NUMBERS: u64 = 1 << 30;

/// An argument's name and place.
type Argument = (&'static str, usize);
/// A layer's name, the arguments with its sizes, and how its parameters come from them.
type Layer = (&'static str, [Argument; 2], Shape);

/// Layers by the names of the arguments that their parameters come from.
const LAYERS: [Layer; 14] = [
    (
        "Linear",
        [("in_features", 0), ("out_features", 1)],
        Shape::Matrix,
    ),
    (
        "LazyLinear",
        [("out_features", 0), ("out_features", 0)],
        Shape::One,
    ),
    (
        "Bilinear",
        [("in1_features", 0), ("out_features", 2)],
        Shape::Matrix,
    ),
    (
        "Embedding",
        [("num_embeddings", 0), ("embedding_dim", 1)],
        Shape::Matrix,
    ),
    (
        "EmbeddingBag",
        [("num_embeddings", 0), ("embedding_dim", 1)],
        Shape::Matrix,
    ),
    (
        "Conv1d",
        [("in_channels", 0), ("out_channels", 1)],
        Shape::Kernel(1),
    ),
    (
        "Conv2d",
        [("in_channels", 0), ("out_channels", 1)],
        Shape::Kernel(2),
    ),
    (
        "Conv3d",
        [("in_channels", 0), ("out_channels", 1)],
        Shape::Kernel(3),
    ),
    (
        "ConvTranspose2d",
        [("in_channels", 0), ("out_channels", 1)],
        Shape::Kernel(2),
    ),
    (
        "LSTM",
        [("input_size", 0), ("hidden_size", 1)],
        Shape::Recurrent(4),
    ),
    (
        "GRU",
        [("input_size", 0), ("hidden_size", 1)],
        Shape::Recurrent(3),
    ),
    (
        "RNN",
        [("input_size", 0), ("hidden_size", 1)],
        Shape::Recurrent(1),
    ),
    (
        "MultiheadAttention",
        [("embed_dim", 0), ("embed_dim", 0)],
        Shape::Matrices(4),
    ),
    (
        "TransformerEncoderLayer",
        [("d_model", 0), ("d_model", 0)],
        Shape::Matrices(4),
    ),
];

/// How a layer's parameters come from two sizes.
#[derive(Debug, Clone, Copy)]
enum Shape {
    One,
    Matrix,
    Matrices(u64),
    /// Times the kernel's size in so many dimensions.
    Kernel(u32),
    /// So many gates, in each layer.
    Recurrent(u64),
}

/// What is found, and the parameters whose sizes stand in the program.
pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> (Vec<Finding>, u64) {
    let mut found = Vec::new();
    let mut all: u64 = 0;
    for (call, place) in program.calls().filter(|(_, place)| reach.is_live(*place)) {
        let Some(path) = program.called(call, place) else {
            continue;
        };
        if let Some(name) = path.strip_prefix("torch.nn.") {
            let one = parameters(program, name, call, place).unwrap_or(0);
            let parameters = one.saturating_mul(times(program, place));
            if parameters > MOST_PARAMETERS && all <= MOST_PARAMETERS {
                found.push(program.finding(Rule::Size, call, too_many(parameters)));
            }
            all = all.saturating_add(parameters);
        } else if let Some(numbers) = numbers(program, &path, call, place)
            && numbers > MOST_NUMBERS
        {
            let message = format!(
                "a tensor of {numbers} numbers: at most {MOST_NUMBERS} fit beside all else"
            );
            found.push(program.finding(Rule::Size, call, message));
        }
    }
    if found.is_empty() && all > MOST_PARAMETERS {
        found.push(missing(Rule::Size, too_many(all)));
    }
    (found, all)
}

fn too_many(parameters: u64) -> String {
    format!(
        "{parameters} parameters: at most {MOST_PARAMETERS} fit one core with their gradients and Adam's moments; \
         make the model smaller"
    )
}

/// The rounds of the loops around a layer that is made.
fn times(program: &Program<'_>, place: Place) -> u64 {
    let mut times: u64 = 1;
    let mut at = place.innermost;
    while let Some(innermost) = at {
        if let Some(rounds) = program.rounds(innermost) {
            times = times.saturating_mul(u64::try_from(rounds).unwrap_or(0));
        }
        at = program.loops[innermost].place.innermost;
    }
    times
}

fn parameters(program: &Program<'_>, name: &str, call: &ExprCall, place: Place) -> Option<u64> {
    let (_, [first, second], shape) = LAYERS.iter().find(|(layer, ..)| *layer == name)?;
    let size = |(name, position): (&str, usize)| size(program, call, place, (name, position));
    let (one, two) = (size(*first)?, size(*second)?);
    let matrix = one.saturating_mul(two);
    Some(match shape {
        Shape::One => two,
        Shape::Matrix => matrix,
        Shape::Matrices(n) => matrix.saturating_mul(*n),
        Shape::Kernel(dimensions) => {
            let kernel = size(("kernel_size", 2)).unwrap_or(1);
            matrix.saturating_mul(kernel.saturating_pow(*dimensions))
        }
        Shape::Recurrent(gates) => {
            let layers = size(("num_layers", 2)).unwrap_or(1);
            let later = two.saturating_mul(two).saturating_mul(2);
            let later = later.saturating_mul(layers.saturating_sub(1));
            let first = matrix.saturating_add(two.saturating_mul(two));
            first.saturating_add(later).saturating_mul(*gates)
        }
    })
}

fn size(
    program: &Program<'_>,
    call: &ExprCall,
    place: Place,
    (name, position): (&str, usize),
) -> Option<u64> {
    let argument = call.arguments.find_argument_value(name, position)?;
    let int = program.constant(argument, place.scope)?.int()?;
    u64::try_from(int).ok()
}

/// The numbers of a tensor that is made with sizes.
fn numbers(program: &Program<'_>, path: &str, call: &ExprCall, place: Place) -> Option<u64> {
    let makers = ["zeros", "ones", "rand", "randn", "empty"];
    let name = path
        .strip_prefix("torch.")
        .or_else(|| path.strip_prefix("numpy."))?;
    if !makers.contains(&name) {
        return None;
    }
    let sizes = match &*call.arguments.args {
        [Expr::Tuple(it)] => &*it.elts,
        [Expr::List(it)] => &*it.elts,
        several => several,
    };
    let mut numbers: u64 = 1;
    for size in sizes {
        let int = program.constant(size, place.scope)?.int()?;
        numbers = numbers.saturating_mul(u64::try_from(int).ok()?);
    }
    Some(numbers)
}
