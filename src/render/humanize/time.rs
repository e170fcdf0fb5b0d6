//! Durations in words. In: seconds, and where Python takes them texts of seconds. Out: text; what is no duration is
//! shown as it is. There are no dates in a template, so what `humanize` does with dates is not here.

use minijinja::value::Tuple;
use minijinja::{Error, Value};
use num_traits::ToPrimitive;

use super::super::args::bind;
use super::super::lookup::collect;
use super::super::number::{Number, number, rounded};
use super::super::numeral::read_int;
use super::super::pyformat::percent;
use super::super::repr::text;
use super::super::value::{Kind, fault, is_undefined, kind, type_name};
use super::number::with_commas;
use super::{as_float, as_int, demanded, echo, printed, read_back};

const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;
/// Most days of Python's `timedelta`.
const DAYS_MAX: i128 = 999_999_999;
/// Days from the first day of year 1, and up to the last of year 9999, where Python's dates end. They count from its
/// clock, which a rendering does not read: from the end of 2026.
const DAYS_BACK: i128 = 739_980;
const DAYS_AHEAD: i128 = 2_912_078;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
    Months,
    Years,
}

const UNITS: [(Unit, &str); 8] = [
    (Unit::Microseconds, "microsecond"),
    (Unit::Milliseconds, "millisecond"),
    (Unit::Seconds, "second"),
    (Unit::Minutes, "minute"),
    (Unit::Hours, "hour"),
    (Unit::Days, "day"),
    (Unit::Months, "month"),
    (Unit::Years, "year"),
];

/// A unit by its name in the plural, in any case.
fn unit(name: &Value) -> Result<Unit, Error> {
    let Kind::Str(name) = kind(name) else {
        return Err(fault(format!("a unit of time is a string, not {}", type_name(name))));
    };
    let upper = name.to_uppercase();
    let is_named = |row: &&(Unit, &str)| {
        upper.strip_suffix('S').is_some_and(|one| one == row.1.to_uppercase())
    };
    let found = UNITS.iter().find(is_named);
    found.map(|row| row.0).ok_or_else(|| fault(format!("there is no unit of time '{name}'")))
}

/// `count name`, in the plural unless there is one.
fn counted(count: i128, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Refuses more days than Python knows.
fn checked(micros: i128) -> Result<i128, Error> {
    let days = micros.div_euclid(DAY);
    if days.abs() > DAYS_MAX {
        return Err(fault(format!("{days} days are too many")));
    }
    Ok(micros)
}

/// Seconds as microseconds, rounded as Python's `timedelta` does: half to even.
fn micros(seconds: f64) -> Result<i128, Error> {
    if !seconds.is_finite() || seconds.abs() > 1e15 {
        return Err(fault(format!("{seconds} seconds are too many")));
    }
    let rest = seconds.fract() * SECOND as f64;
    let whole = seconds.trunc() as i128 * SECOND + rest.trunc() as i128;
    let left = rest.fract();
    let mut more = left.round();
    if (more - left).abs().total_cmp(&0.5).is_eq() {
        let odd = (whole & 1) as f64;
        more = 2.0 * ((left + odd) * 0.5).round() - odd;
    }
    checked(whole + more as i128)
}

pub(super) fn absolute(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("abs_timedelta", [], 0, args)?;
    let number = demanded("abs_timedelta", value)?;
    Ok(match number {
        Number::Float(float) => Number::Float(float.abs()),
        other if other.is_negative() => other.negate(),
        other => other,
    }
    .into_value())
}

pub(super) fn natural_day(name: &str, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    if is_undefined(value) {
        return Err(fault(format!("{name} needs a value, not undefined")));
    }
    echo(value)
}

pub(super) fn date_and_delta(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("date_and_delta", [], 0, args)?;
    match number(value) {
        Some(Number::Float(float)) if float.is_nan() => {}
        None => {}
        Some(_) => return Err(fault("date_and_delta of a number depends on the clock")),
    }
    Ok(Tuple::from([Value::from(()), value.clone()]).into())
}

pub(super) fn natural_delta(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [months, least] = bind("naturaldelta", ["months", "minimum_unit"], 0, args)?;
    let months = months.is_none_or(|months| months.is_true());
    let least = smallest(least)?;
    if is_undefined(value) {
        return Err(fault("naturaldelta needs a number, not undefined"));
    }
    let seconds = match (kind(value), as_int(value)) {
        (Kind::Float(float), _) => Some(float).filter(|float| float.is_finite()),
        (_, Some(_)) => as_float(value)?,
        (_, None) => None,
    };
    match seconds {
        None => echo(value),
        // A text of very many digits.
        Some(seconds) if !seconds.is_finite() => echo(&Value::from(seconds)),
        Some(seconds) => Ok(Value::from(in_words(micros(seconds)?.abs(), months, least)?)),
    }
}

/// The smallest unit that `naturaldelta` may use.
fn smallest(least: Option<Value>) -> Result<Unit, Error> {
    match least.map_or(Ok(Unit::Seconds), |least| unit(&least))? {
        unit @ (Unit::Seconds | Unit::Milliseconds | Unit::Microseconds) => Ok(unit),
        _ => Err(fault("the smallest unit may be seconds, milliseconds or microseconds")),
    }
}

/// `a / b` to the nearest integer, half to even.
fn nearest(a: i128, b: f64) -> i128 {
    (a as f64 / b).round_ties_even() as i128
}

fn in_words(micros: i128, months: bool, least: Unit) -> Result<String, Error> {
    let (all_days, seconds) = (micros / DAY, micros % DAY / SECOND);
    let (years, days) = (all_days / 365, all_days % 365);
    let near_months = nearest(days, 30.5);
    Ok(match (years, days) {
        (0, 0) => within_a_day(seconds, micros % SECOND, least),
        (0, 1) => "a day".to_owned(),
        (0, _) if !months || near_months == 0 => counted(days, "day"),
        (0, _) => match near_months {
            1 => "a month".to_owned(),
            12 => "a year".to_owned(),
            _ => counted(near_months, "month"),
        },
        (1, 0) => "a year".to_owned(),
        (1, _) if !months || near_months == 0 => format!("1 year, {}", counted(days, "day")),
        (1, _) if near_months == 12 => "2 years".to_owned(),
        (1, _) => format!("1 year, {}", counted(near_months, "month")),
        _ => format!("{} years", with_commas(nearest(all_days, 365.0) as f64)?),
    })
}

fn within_a_day(seconds: i128, micros: i128, least: Unit) -> String {
    match (seconds, least) {
        (0, Unit::Microseconds) if micros < 1000 => counted(micros, "microsecond"),
        (0, Unit::Microseconds | Unit::Milliseconds) => counted(micros / 1000, "millisecond"),
        (0, _) => "a moment".to_owned(),
        (1, _) => "a second".to_owned(),
        (2..60, _) => counted(seconds, "second"),
        (60..3600, _) => match nearest(seconds, 60.0) {
            1 => "a minute".to_owned(),
            60 => "an hour".to_owned(),
            minutes => counted(minutes, "minute"),
        },
        _ => match nearest(seconds, 3600.0) {
            1 => "an hour".to_owned(),
            24 => "a day".to_owned(),
            hours => counted(hours, "hour"),
        },
    }
}

/// A number of seconds as a length of time; `None` when it is no number.
fn length(value: &Value, is_rounded: bool) -> Result<Option<i128>, Error> {
    let Some(mut seconds) = number(value) else { return Ok(None) };
    if matches!(seconds, Number::Float(float) if float.is_nan()) {
        return Ok(None);
    }
    if is_rounded {
        seconds = rounded(seconds, None)?;
    }
    Ok(Some(match &seconds {
        Number::Float(float) => micros(*float)?,
        Number::Int(whole) => checked(whole.saturating_mul(SECOND))?,
        Number::Big(big) => checked(big.to_i128().unwrap_or(i128::MAX).saturating_mul(SECOND))?,
    }))
}

/// A length of time without its sign, if there is a date so long ago or ahead.
fn from_now(micros: i128) -> Result<i128, Error> {
    if (-DAYS_AHEAD * DAY..=DAYS_BACK * DAY).contains(&micros) {
        return Ok(micros.abs());
    }
    Err(fault("a date so far away is not known"))
}

pub(super) fn natural_time(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["future", "months", "minimum_unit", "when"];
    let [future, months, least, when] = bind("naturaltime", names, 0, args)?;
    let Some(micros) = length(value, true)? else { return echo(value) };
    if when.is_some_and(|when| when.is_true()) {
        // A time that is no date is not told from.
        return echo(value);
    }
    let micros = from_now(micros)?;
    let months = months.is_none_or(|months| months.is_true());
    let words = in_words(micros, months, smallest(least)?)?;
    Ok(Value::from(match (&*words, future.is_some_and(|future| future.is_true())) {
        ("a moment", _) => "now".to_owned(),
        (_, true) => format!("{words} from now"),
        (_, false) => format!("{words} ago"),
    }))
}

/// What of `precisedelta` is asked for.
struct Precision {
    least: Unit,
    /// Units that are not shown: those below `least` too.
    hidden: Vec<Unit>,
    format: Value,
}

impl Precision {
    fn of(
        least: Option<Value>,
        suppress: Option<&Value>,
        format: Option<Value>,
    ) -> Result<Self, Error> {
        let mut hidden = Vec::new();
        for name in suppress.map_or(Ok(Vec::new()), collect)? {
            hidden.push(unit(&name)?);
        }
        let wanted = least.map_or(Ok(Unit::Seconds), |least| unit(&least))?;
        let shown =
            UNITS.iter().map(|row| row.0).find(|unit| *unit >= wanted && !hidden.contains(unit));
        let least = shown.ok_or_else(|| fault("every unit of time is suppressed"))?;
        hidden.extend(UNITS.iter().map(|row| row.0).filter(|unit| *unit < least));
        let format = format.unwrap_or_else(|| Value::from("%0.2f"));
        Ok(Self { least, hidden, format })
    }

    fn shows(&self, unit: Unit) -> bool {
        !self.hidden.contains(&unit)
    }

    /// How often `size` goes into `amount`, and what is left: nothing in the smallest unit, all when it is hidden.
    fn part(&self, amount: f64, size: f64, unit: Unit) -> Result<(f64, f64), Error> {
        if unit == self.least {
            return Ok((self.rounded(amount / size)?, 0.0));
        }
        if !self.shows(unit) {
            return Ok((0.0, amount));
        }
        // Nothing here is negative.
        let rest = amount % size;
        Ok((((amount - rest) / size).round(), rest.trunc()))
    }

    /// A number rounded as the format does it.
    fn rounded(&self, number: f64) -> Result<f64, Error> {
        let shown = printed(&self.format, number)?;
        match read_int(shown.as_str().unwrap_or_default(), 10) {
            Some(whole) => Ok(whole.to_f64().unwrap_or(f64::INFINITY)),
            None => read_back(&shown),
        }
    }

    /// The amounts of all units, from years down.
    fn parts(&self, micros: i128) -> Result<[f64; 8], Error> {
        use Unit as U;
        let day_seconds = (micros % DAY / SECOND) as f64;
        let (years, days) = self.part((micros / DAY) as f64, 365.0, U::Years)?;
        let (months, days) = self.part(days, 30.5, U::Months)?;
        let seconds = days * 86_400.0 + day_seconds;
        let (days, seconds) = self.part(seconds, 86_400.0, U::Days)?;
        let (hours, seconds) = self.part(seconds, 3600.0, U::Hours)?;
        let (minutes, seconds) = self.part(seconds, 60.0, U::Minutes)?;
        let rest = seconds * 1e6 + (micros % SECOND) as f64;
        let (seconds, rest) = self.part(rest, 1e6, U::Seconds)?;
        let (millis, rest) = self.part(rest, 1000.0, U::Milliseconds)?;
        Ok([years, months, days, hours, minutes, seconds, millis, rest])
    }
}

pub(super) fn precise_delta(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["minimum_unit", "suppress", "format"];
    let [least, suppress, format] = bind("precisedelta", names, 0, args)?;
    let Some(micros) = length(value, false)? else { return echo(value) };
    let micros = from_now(micros)?;
    let precision = Precision::of(least, suppress.as_ref(), format)?;
    let mut parts = precision.parts(micros)?;
    // What was rounded up to a whole larger unit is one.
    let full = [
        (6, 1000.0, Unit::Seconds),
        (5, 60.0, Unit::Minutes),
        (4, 60.0, Unit::Hours),
        (3, 24.0, Unit::Days),
        (2, 31.0, Unit::Months),
        (1, 12.0, Unit::Years),
    ];
    for (place, size, larger) in full {
        if parts[place] >= size && precision.shows(larger) {
            parts[place] -= size;
            parts[place - 1] += 1.0;
        }
    }
    let mut texts = Vec::new();
    for (&(unit, name), &amount) in UNITS.iter().rev().zip(&parts) {
        if amount > 0.0 || (texts.is_empty() && unit == precision.least) {
            texts.push(told(unit, name, amount, &precision)?);
        }
        // Whole years do not end the list, as in Python: all that is left follows, in microseconds.
        if unit == precision.least && (unit != Unit::Years || amount.fract() > 0.0) {
            break;
        }
    }
    let tail = texts.pop().unwrap_or_default();
    Ok(Value::from(if texts.is_empty() {
        tail
    } else {
        format!("{} and {tail}", texts.join(", "))
    }))
}

/// One unit's amount in words.
fn told(unit: Unit, name: &str, amount: f64, precision: &Precision) -> Result<String, Error> {
    let name = if amount.total_cmp(&1.0).is_eq() { name.to_owned() } else { format!("{name}s") };
    if unit == precision.least && amount.fract() > 0.0 {
        let Kind::Str(format) = kind(&precision.format) else {
            return Err(fault("the format of precisedelta is a string"));
        };
        let whole = Value::from(format!("{format} {name}"));
        return text(&percent(&whole, &Value::from(amount))?);
    }
    if unit == Unit::Years {
        return Ok(format!("{} {name}", with_commas(amount)?));
    }
    Ok(format!("{:.0} {name}", amount.trunc()))
}
