//! Rotation of sealing keys as pure functions of policy, keys and time: creation, choice of the primary key, retirement,
//! deletion, and the names of key Secrets.

mod compromise;
mod name;
mod plan;
mod policy;
mod record;

pub use compromise::{Compromised, compromised};
pub use name::{is_successor_name, successor_name};
pub use plan::{
    Blocked, Change, Evidence, Generation, Plan, Step, Trigger, UsageReport, activation_time, due_since,
    is_met, is_successor, next_rotation, plan, predecessor,
};
pub use policy::RotationPolicy;
pub use record::{DesiredState, KeyFacts, KeyLabel, KeyRecord};
