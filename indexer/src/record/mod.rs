//! The record: INSTANCES and SERIES played again, in the order in which it all was. A catalogue that is
//! made again (`replay`) has all of it played, one that lies behind SERIES what it lacks.

mod place;
mod playing;
mod rebuilding;
mod taking_up;
mod tape;

pub use place::Place;
pub use playing::Playing;
pub use rebuilding::{Rebuilding, Report};
pub use taking_up::{has_taken_up_all, take_up};
pub use tape::{Decisions, Found};
