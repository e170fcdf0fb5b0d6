//! Events that are made up for the bench: as many as wanted, always the same, about as large as events are. In: a
//! number. Out: the event of that number, and filters that mean a known part of all of them.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock::Time;
use crate::event::{self, Event};
use crate::id::{self, Uuid};

/// Whose events.
pub(super) const ACCOUNT: Uuid = Uuid::from_u128(0x11);
/// Names, from often to seldom.
const NAMES: u64 = 40;
const WORKSPACES: u64 = 4;
const ORDERS: u64 = 100_000;
const CUSTOMERS: u64 = 5_000;
const COUNTRIES: u64 = 50;
/// Between two events.
const STEP_MICROS: i64 = 100;
/// Text that makes an event 500 bytes long.
const NOTE: &str = "the parcel left the warehouse on the second floor before noon";

/// All events of one bench.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) count: u64,
    pub(super) start: Time,
}

/// A number that looks like chance, always the same for one `of`.
fn mixed(of: u64) -> u64 {
    let mixed = (of ^ (of >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn name(number: u64) -> String {
    // The square makes the first names common and the last ones rare.
    let place = mixed(number) % (NAMES * NAMES);
    let place = NAMES - 1 - place.isqrt();
    format!("shop.{}.step-{place}", ["order", "cart", "parcel", "bill"][(place % 4) as usize])
}

impl Made {
    /// So many events up to a moment.
    pub(super) fn new(count: u64, now: Time) -> Self {
        let start = now.micros() - count.cast_signed() * STEP_MICROS;
        Self { count, start: Time::from_micros(start) }
    }

    pub(super) fn moment(&self, number: u64) -> Time {
        Time::from_micros(self.start.micros() + number.cast_signed() * STEP_MICROS)
    }

    pub(super) fn workspace(number: u64) -> Uuid {
        Uuid::from_u128(0x20 + u128::from(mixed(number) % WORKSPACES))
    }

    pub(super) fn event(&self, number: u64) -> Event {
        let chance = mixed(number);
        let (order, customer) = (chance % ORDERS, chance / 7 % CUSTOMERS);
        let order_id = format!("shop.order.{order}");
        let (order_name, country) = (format!("order {order}"), format!("c{}", chance % COUNTRIES));
        let customer_id = format!("shop.customer.{customer}");
        let occurred = self.moment(number);
        let mut tail = [0; 16];
        tail[8..].copy_from_slice(&chance.to_le_bytes());
        let event = event::compose(
            occurred,
            &name(number),
            &[("prefect.resource.id", &order_id), ("prefect.resource.name", &order_name)],
            &[&[
                ("prefect.resource.id", &customer_id),
                ("prefect.resource.role", "customer"),
                ("country", &country),
            ]],
            &format!("{{\"number\":{number},\"note\":\"{NOTE}\"}}"),
            id::fresh(occurred, tail),
            None,
        );
        Event { id: event.id, json: Bytes::copy_from_slice(&event.json) }
    }

    /// Filters as people ask them, each by name and with a number of its own.
    pub(super) fn filters(&self, number: u64) -> Vec<(&'static str, Value)> {
        let chance = mixed(number);
        let middle = chance % self.count.max(1);
        let since = self.moment(middle).to_string();
        let until = self.moment(middle + self.count / 100).to_string();
        let window = json!({"since": since, "until": until});
        let order = format!("shop.order.{}", chance % ORDERS);
        let customer = format!("shop.customer.{}", chance % CUSTOMERS);
        let place = chance % NAMES;
        let kind = ["order", "cart", "parcel", "bill"][(place % 4) as usize];
        let name = format!("shop.{kind}.step-{place}");
        vec![
            ("the newest", json!({})),
            ("one name", json!({"event": {"name": [name]}})),
            ("a prefix", json!({"event": {"prefix": [format!("shop.{kind}.")]}})),
            ("one resource", json!({"resource": {"id": [order]}})),
            ("a related one", json!({"related": {"id": [customer.clone()], "role": ["customer"]}})),
            ("name and related", json!({"event": {"name": [name]}, "related": {"id": [customer]}})),
            ("a label", json!({"any_resource": {"labels": {"country": format!("c{}", place)}}})),
            ("words of an id", json!({"text": {"query": customer}})),
            ("a payload's", json!({"text": {"query": format!("+parcel +number\":{middle},")}})),
            ("a time", json!({"occurred": window, "order": "ASC"})),
            (
                "name and time",
                json!({"occurred": window, "event": {"exclude_prefix": ["shop.cart."]}}),
            ),
        ]
    }
}
