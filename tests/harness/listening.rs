//! One who listens to `GET /events`.

use super::DEADLINE;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::time::timeout;

/// A server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, empty when it has none.
    pub id: String,
    /// What kind it is.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// One who listens.
pub struct Listening {
    response: Response,
    read: String,
}

impl Listening {
    /// Begins to listen, after the event of `last` if there is one.
    ///
    /// # Errors
    /// The answer, when it is not 200.
    pub async fn to(api: &str, query: &str, last: Option<&str>) -> Result<Self, Response> {
        let mut request = Client::new().get(format!("{api}/events{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        match response.status().as_u16() {
            200 => Ok(Self { response, read: String::new() }),
            _ => Err(response),
        }
    }

    /// The next event; `None` once the answer has ended.
    pub async fn next(&mut self) -> Option<Event> {
        timeout(DEADLINE, self.read_next()).await.expect("an event in time")
    }

    async fn read_next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                if let Some(event) = event(&block) {
                    return Some(event);
                }
            }
            self.read_on().await?;
        }
    }

    /// Waits for a comment, which says no more than that the connection stands.
    pub async fn hears_a_comment(&mut self) {
        while !self.read.lines().any(|line| line.starts_with(':')) {
            self.read_on().await.expect("the answer to go on");
        }
    }

    /// The next event of a kind.
    pub async fn next_of(&mut self, name: &str) -> Event {
        loop {
            let next = self.next().await;
            let next = next.unwrap_or_else(|| panic!("it ended before {name}"));
            if next.name == name {
                return next;
            }
        }
    }

    async fn read_on(&mut self) -> Option<()> {
        // A connection that breaks is an end too.
        let chunk = self.response.chunk().await.ok()??;
        self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        Some(())
    }
}

fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name));
        values.collect::<Vec<_>>().join("\n")
    };
    let data = field("data: ");
    if data.is_empty() {
        return None;
    }
    let data = serde_json::from_str(&data).unwrap();
    Some(Event { id: field("id: "), name: field("event: "), data })
}
