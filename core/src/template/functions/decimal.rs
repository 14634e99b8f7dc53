//! Decimal arithmetic without rounding errors, after Go's `shopspring/decimal`.

use num_bigint::BigInt;

use crate::template::error::{Failure, Outcome};

/// A decimal: `coefficient` times ten to the power of `exponent`.
#[derive(Clone)]
pub(super) struct Decimal {
    coefficient: BigInt,
    exponent: i32,
}

/// Number of decimals of a quotient.
const DIVISION_PRECISION: i32 = 16;
/// Bits of the largest coefficient, some 39,000 digits: converting a number to a float takes time in proportion to their square.
const MAX_BITS: u64 = 1 << 17;

impl Decimal {
    /// Returns the shortest decimal that identifies `value`.
    pub(super) fn new(value: f64) -> Outcome<Self> {
        const NOT_FINITE: Failure = Failure::function("a number is not finite");
        if !value.is_finite() {
            return Err(NOT_FINITE);
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').ok_or(NOT_FINITE)?;
        let decimals = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let coefficient = mantissa.replace('.', "").parse().map_err(|_| NOT_FINITE)?;
        let exponent =
            exponent.parse::<i32>().map_err(|_| NOT_FINITE)? - i32::try_from(decimals).unwrap_or(0);
        Ok(Self { coefficient, exponent })
    }

    fn scaled_to(&self, exponent: i32) -> BigInt {
        let more = u32::try_from(self.exponent - exponent).unwrap_or(0);
        &self.coefficient * BigInt::from(10).pow(more)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { coefficient: self.scaled_to(exponent) + other.scaled_to(exponent), exponent }
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { coefficient: self.scaled_to(exponent) - other.scaled_to(exponent), exponent }
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        Self { coefficient: &self.coefficient * &other.coefficient, exponent: self.exponent + other.exponent }
    }

    /// Returns the quotient, rounded half away from zero to 16 decimals.
    pub(super) fn divide(&self, other: &Self) -> Outcome<Self> {
        let zero = BigInt::ZERO;
        if other.coefficient == zero {
            return Err(Failure::function("division by zero"));
        }
        // value = (a / b) * 10^(ea - eb), computed as an integer times 10^-16.
        let shift = self.exponent - other.exponent + DIVISION_PRECISION;
        let (mut dividend, mut divisor) = (self.coefficient.clone(), other.coefficient.clone());
        let power = BigInt::from(10).pow(shift.unsigned_abs());
        if shift >= 0 {
            dividend *= power;
        } else {
            divisor *= power;
        }
        let mut quotient = &dividend / &divisor;
        let remainder = &dividend - &quotient * &divisor;
        if remainder.magnitude() * 2_u32 >= *divisor.magnitude() {
            let same_sign = (dividend < zero) == (divisor < zero);
            quotient += if same_sign { 1 } else { -1 };
        }
        Ok(Self { coefficient: quotient, exponent: -DIVISION_PRECISION })
    }

    /// Returns this number.
    ///
    /// # Errors
    /// If it has too many digits.
    pub(super) fn within_limit(self) -> Outcome<Self> {
        if self.coefficient.bits() > MAX_BITS {
            return Err(Failure::budget("a number has too many digits"));
        }
        Ok(self)
    }

    /// Returns the nearest double.
    pub(super) fn to_float(&self) -> f64 {
        format!("{}e{}", self.coefficient, self.exponent).parse().unwrap_or(0.0)
    }
}
