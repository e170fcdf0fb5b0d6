//! Sorting as Python's `sorted` does it, by "less" alone. In: items, and what is less, which may refuse and need not
//! make sense: NaN is neither less nor more than anything. Out: the items in order, equal ones as they were. Never a
//! panic.

use minijinja::Error;

use super::budget;

/// Fewer items than this are one run, put in order one by one as Python does it.
const ONE_RUN: usize = 64;
/// Length of the runs that longer rows are merged from.
const RUN: usize = 32;

/// Sorts by `less`; the first refusal ends it.
pub(super) fn sorted_by<T>(
    all: Vec<T>,
    less: impl Fn(&T, &T) -> Result<bool, Error>,
) -> Result<Vec<T>, Error> {
    let length = all.len();
    budget::take(length * 2 * size_of::<usize>())?;
    let less = |a: usize, b: usize| less(&all[a], &all[b]);
    let mut places: Vec<usize> = (0..length).collect();
    let mut width = if length < ONE_RUN { ONE_RUN } else { RUN };
    for run in places.chunks_mut(width) {
        sort_run(run, &less)?;
    }
    while width < length {
        let mut merged = Vec::with_capacity(length);
        for pair in places.chunks(width * 2) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, &mut merged, &less)?;
        }
        places = merged;
        width *= 2;
    }
    let mut all: Vec<Option<T>> = all.into_iter().map(Some).collect();
    Ok(places.into_iter().filter_map(|place| all[place].take()).collect())
}

/// Puts each item where binary search finds its place among those before it.
fn sort_run(
    run: &mut [usize],
    less: &impl Fn(usize, usize) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut done = 1;
    let falls = run.len() > 1 && less(run[1], run[0])?;
    while done < run.len() && less(run[done], run[done - 1])? == falls {
        done += 1;
    }
    if falls {
        run[..done].reverse();
    }
    for next in done..run.len() {
        let (mut low, mut high) = (0, next);
        while low < high {
            let middle = usize::midpoint(low, high);
            if less(run[next], run[middle])? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        run[low..=next].rotate_right(1);
    }
    Ok(())
}

fn merge(
    mut left: &[usize],
    mut right: &[usize],
    merged: &mut Vec<usize>,
    less: &impl Fn(usize, usize) -> Result<bool, Error>,
) -> Result<(), Error> {
    while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
        if less(b, a)? {
            merged.push(b);
            right = &right[1..];
        } else {
            merged.push(a);
            left = &left[1..];
        }
    }
    merged.extend(left);
    merged.extend(right);
    Ok(())
}
