//! Limits on parsing, so that a small text can cause neither much work nor high memory use.

use super::node::{Node, NodeError, NodeKind};

const MAX_DEPTH: usize = 64;
/// Maximum bytes of nodes and texts that aliases and merges may copy: a few Secrets of the maximum size that Kubernetes accepts.
const COPIES: usize = 4 << 20;

/// Remaining budget for a whole text, however many documents it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    nodes: usize,
    copied_bytes: usize,
}

impl Budget {
    /// Returns the budget for a local file of the user: thousands of Secrets.
    pub(super) fn of_own_file() -> Self {
        Self { nodes: 500_000, copied_bytes: COPIES }
    }

    /// Returns the budget for untrusted text: one object of the maximum size that Kubernetes accepts.
    pub(super) fn of_request() -> Self {
        Self { nodes: 20_000, copied_bytes: COPIES }
    }

    /// Charges for a document, before any of it is stored.
    pub(super) fn document(&mut self) -> Result<(), NodeError> {
        self.node(0)
    }

    /// Charges for a node at this depth below the root, before any of it is stored.
    pub(super) fn node(&mut self, depth: usize) -> Result<(), NodeError> {
        self.nodes = self.nodes.checked_sub(1).filter(|_| depth <= MAX_DEPTH).ok_or(NodeError::Budget)?;
        Ok(())
    }

    /// Copies a node to this depth below the root. The copy is made only if the budget covers all of it.
    pub(super) fn copy(&mut self, node: &Node, depth: usize) -> Result<Node, NodeError> {
        self.charge(node, depth)?;
        Ok(node.clone())
    }

    fn charge(&mut self, node: &Node, depth: usize) -> Result<(), NodeError> {
        let bytes = size_of::<Node>() + node.text().map_or(0, str::len);
        let left = self.copied_bytes.checked_sub(bytes).filter(|_| depth <= MAX_DEPTH);
        self.copied_bytes = left.ok_or(NodeError::Budget)?;
        match &node.kind {
            NodeKind::Scalar { .. } => Ok(()),
            NodeKind::Sequence(items) => items.iter().try_for_each(|item| self.charge(item, depth + 1)),
            NodeKind::Mapping(entries) => entries.iter().try_for_each(|(key, value)| {
                self.charge(key, depth + 1)?;
                self.charge(value, depth + 1)
            }),
        }
    }
}
