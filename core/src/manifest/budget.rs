//! What reading a text may cost: a small text must not make much work, nor take much memory.

use super::node::{Node, NodeError, NodeKind};

const MAX_DEPTH: usize = 64;
/// What anchors and aliases may copy, in bytes of nodes and texts: some Secrets of the greatest size that Kubernetes takes.
const COPIES: usize = 4 << 20;

/// What is left for a whole text, however many documents it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    nodes: usize,
    copied_bytes: usize,
}

impl Budget {
    /// For a file of the person who runs the program: thousands of Secrets.
    pub(super) fn of_own_file() -> Self {
        Self { nodes: 500_000, copied_bytes: COPIES }
    }

    /// For a text that anybody may have sent: one object of the greatest size that Kubernetes takes.
    pub(super) fn of_request() -> Self {
        Self { nodes: 20_000, copied_bytes: COPIES }
    }

    /// Counts a document, before anything is kept of it.
    pub(super) fn document(&mut self) -> Result<(), NodeError> {
        self.node(0)
    }

    /// Counts a node so many levels below the root, before anything is kept of it.
    pub(super) fn node(&mut self, depth: usize) -> Result<(), NodeError> {
        self.nodes = self.nodes.checked_sub(1).filter(|_| depth <= MAX_DEPTH).ok_or(NodeError::Budget)?;
        Ok(())
    }

    /// A copy that will stand so many levels below the root. It is made only if there is room for all of it.
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
