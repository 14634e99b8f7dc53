//! Client layers that bound the memory of responses, whatever the objects contain.

pub(crate) mod event_limit;
pub(crate) mod page_limit;
