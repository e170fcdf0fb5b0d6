//! The engine as it comes, with its own filters and its own meaning: what `hookgate bench --render` measures ours
//! beside, and nothing else uses. In: a source, a request. Out: text. Never a difference in what it is given: the same
//! index of the same body, read as lazily.

use std::sync::Arc;

use http::HeaderMap;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Environment, Template, Value};

use crate::json::{self, Document};

/// An environment of the engine's own, holding one template.
#[derive(Debug)]
pub struct Stock(Environment<'static>);

/// Its template, looked up.
#[derive(Debug)]
pub struct StockTemplate<'s>(Template<'s, 's>);

impl Stock {
    /// Compiles a source.
    ///
    /// # Errors
    /// What the engine does not take.
    pub fn compile(source: &'static str, fuel: u64) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(fuel));
        environment.add_template("template", source).map_err(|error| error.to_string())?;
        Ok(Self(environment))
    }

    /// The template, ready to render.
    ///
    /// # Errors
    /// None that [`compile`](Self::compile) would not have met.
    pub fn template(&self) -> Result<StockTemplate<'_>, String> {
        self.0.get_template("template").map(StockTemplate).map_err(|error| error.to_string())
    }
}

impl StockTemplate<'_> {
    /// Renders with `headers` and `body`, both read when asked for.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn render(&self, headers: &Arc<HeaderMap>, body: &Arc<Document>) -> Result<String, String> {
        let root = Root { headers: Arc::clone(headers), body: Arc::clone(body) };
        self.0.render(Value::from_object(root)).map_err(|error| error.to_string())
    }
}

#[derive(Debug)]
struct Root {
    headers: Arc<HeaderMap>,
    body: Arc<Document>,
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "headers" => Some(Value::from_object(Headers(Arc::clone(&self.headers)))),
            "body" => Some(value(&self.body, self.body.root())),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Headers(Arc<HeaderMap>);

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key)?.to_str().ok().map(Value::from)
    }
}

/// An array or object of a document.
#[derive(Debug)]
struct Lazy {
    document: Arc<Document>,
    node: u32,
}

fn value(document: &Arc<Document>, json: json::Value<'_>) -> Value {
    match json.kind() {
        json::Kind::Null => Value::from(()),
        json::Kind::True => Value::from(true),
        json::Kind::False => Value::from(false),
        json::Kind::Integer | json::Kind::Float => match json.raw().parse::<i64>() {
            Ok(integer) => Value::from(integer),
            Err(_) => Value::from(json.raw().parse::<f64>().unwrap_or(f64::NAN)),
        },
        json::Kind::Array | json::Kind::Object => {
            Value::from_object(Lazy { document: Arc::clone(document), node: json.node() })
        }
        _ => Value::from(json.text().unwrap_or_default()),
    }
}

impl Lazy {
    fn json(&self) -> json::Value<'_> {
        self.document.at(self.node)
    }
}

impl Object for Lazy {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.json().kind() {
            json::Kind::Array => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(name) = key.as_str() {
            return self.get_value_by_str(name);
        }
        self.json().items().nth(key.as_usize()?).map(|item| value(&self.document, item))
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.json().get(key).map(|member| value(&self.document, member))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let json = self.json();
        Enumerator::Values(match json.kind() {
            json::Kind::Array => json.items().map(|item| value(&self.document, item)).collect(),
            _ => json.members().map(|(name, _)| Value::from(name)).collect(),
        })
    }
}
