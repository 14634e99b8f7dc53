//! Owner of all lists and maps of one rendering.
//!
//! Templates can build cyclic maps (`set $d "self" $d`) and deeply nested lists. The heap holds every container and empties them
//! one by one, so that cycles do not leak and dropping never recurses.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Entries, List, ListType, Map, MapType, Value};

#[derive(Default)]
pub(crate) struct Heap {
    lists: Vec<Rc<RefCell<Vec<Value>>>>,
    maps: Vec<Rc<RefCell<Entries>>>,
}

impl Heap {
    pub(crate) fn list(&mut self, of: ListType, items: Vec<Value>) -> List {
        let items = Rc::new(RefCell::new(items));
        self.lists.push(Rc::clone(&items));
        List { of, is_nil: false, items }
    }

    pub(crate) fn nil_list(&mut self, of: ListType) -> List {
        List { is_nil: true, ..self.list(of, Vec::new()) }
    }

    pub(crate) fn map(&mut self, of: MapType, entries: Entries) -> Map {
        let entries = Rc::new(RefCell::new(entries));
        self.maps.push(Rc::clone(&entries));
        Map { of, entries }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for list in &self.lists {
            drop(list.take());
        }
        for map in &self.maps {
            drop(map.take());
        }
    }
}
