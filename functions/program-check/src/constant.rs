//! Values that stand in the program: numbers, words, and names bound once to one of them.

use ruff_python_ast::{Expr, Number, Operator, UnaryOp};

use crate::scope::{Bound, Scopes};

/// Names and operators that a value is followed through.
const MOST_STEPS: usize = 40;

/// A value that is known without running anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    None,
}

impl Constant {
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Int(it) => *it != 0,
            Self::Float(it) => *it != 0.0,
            Self::Bool(it) => *it,
            Self::Text(it) => !it.is_empty(),
            Self::None => false,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(it) => Some(*it),
            _ => None,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }
}

/// The value of an expression, where it stands in the program.
pub(crate) fn of(expr: &Expr, scope: usize, scopes: &Scopes<'_>) -> Option<Constant> {
    Evaluation {
        scope,
        scopes,
        left: MOST_STEPS,
    }
    .value(expr)
}

/// How many values an iterable gives, where it says so: `range(3)`, `[a, b]`.
pub(crate) fn length(iter: &Expr, scope: usize, scopes: &Scopes<'_>) -> Option<i64> {
    match iter {
        Expr::List(it) => countable(&it.elts),
        Expr::Tuple(it) => countable(&it.elts),
        Expr::Call(call) if matches!(&*call.func, Expr::Name(it) if it.id.as_str() == "range") => {
            if scopes.lookup("range", scope).is_some() || !call.arguments.keywords.is_empty() {
                return None;
            }
            let int = |expr: &Expr| of(expr, scope, scopes)?.int();
            let (first, end, step) = match &*call.arguments.args {
                [end] => (0, int(end)?, 1),
                [first, end] => (int(first)?, int(end)?, 1),
                [first, end, step] => (int(first)?, int(end)?, int(step)?),
                _ => return None,
            };
            let span = if step < 0 {
                first.checked_sub(end)?
            } else {
                end.checked_sub(first)?
            };
            let step = i64::try_from(step.unsigned_abs()).ok()?;
            Some(span.checked_add(step - 1)?.checked_div(step)?.max(0))
        }
        _ => None,
    }
}

fn countable(elements: &[Expr]) -> Option<i64> {
    let is_plain = !elements.iter().any(Expr::is_starred_expr);
    is_plain.then(|| i64::try_from(elements.len()).ok())?
}

struct Evaluation<'s, 'a> {
    scope: usize,
    scopes: &'s Scopes<'a>,
    left: usize,
}

impl Evaluation<'_, '_> {
    fn value(&mut self, expr: &Expr) -> Option<Constant> {
        self.left = self.left.checked_sub(1)?;
        match expr {
            Expr::NumberLiteral(it) => match &it.value {
                Number::Int(int) => int.as_i64().map(Constant::Int),
                Number::Float(float) => Some(Constant::Float(*float)),
                Number::Complex { .. } => None,
            },
            Expr::BooleanLiteral(it) => Some(Constant::Bool(it.value)),
            Expr::NoneLiteral(_) => Some(Constant::None),
            Expr::StringLiteral(it) => Some(Constant::Text(it.value.to_str().to_owned())),
            Expr::UnaryOp(it) => {
                let operand = self.value(&it.operand)?;
                match (it.op, operand) {
                    (UnaryOp::USub, Constant::Int(int)) => int.checked_neg().map(Constant::Int),
                    (UnaryOp::USub, Constant::Float(float)) => Some(Constant::Float(-float)),
                    (UnaryOp::UAdd, number) if number.is_number() => Some(number),
                    (UnaryOp::Not, any) => Some(Constant::Bool(!any.is_true())),
                    _ => None,
                }
            }
            Expr::BinOp(it) => {
                let left = self.value(&it.left)?.int()?;
                let right = self.value(&it.right)?.int()?;
                binary(it.op, left, right).map(Constant::Int)
            }
            Expr::Name(name) => {
                let scopes = self.scopes;
                match scopes.lookup(name.id.as_str(), self.scope)? {
                    [Bound::Value(value)] => self.value(value),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn binary(op: Operator, left: i64, right: i64) -> Option<i64> {
    match op {
        Operator::Add => left.checked_add(right),
        Operator::Sub => left.checked_sub(right),
        Operator::Mult => left.checked_mul(right),
        Operator::FloorDiv => left.checked_div_euclid(right),
        Operator::Mod => left.checked_rem_euclid(right),
        Operator::Pow => left.checked_pow(u32::try_from(right).ok()?),
        Operator::LShift => left.checked_shl(u32::try_from(right).ok()?),
        _ => None,
    }
}
