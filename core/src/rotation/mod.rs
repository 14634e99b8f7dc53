//! What becomes of sealing keys, as pure functions of policy, keys and time: when one is made, which leads, when one retires,
//! and what the Secret of the next is called.

mod compromise;
mod name;
mod plan;
mod policy;
mod record;

pub use compromise::{Compromised, compromised};
pub use name::{is_successor_name, successor_name};
pub use plan::{
    Blocked, Change, Generation, Need, Occasion, Plan, Step, activation_time, due_since, is_met,
    is_successor, next_rotation, plan, predecessor,
};
pub use policy::RotationPolicy;
pub use record::{KeyFacts, KeyLabel, KeyRecord, Wish};
