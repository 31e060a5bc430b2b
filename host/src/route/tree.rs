//! Paths by segment: the rules of a path, found in as many steps as it has segments.
//!
//! Refuses to know hosts and predicates: whether a rule of a path fits is the caller's test, and the search
//! goes on to less specific paths when none does.

use std::mem;

use hashbrown::HashMap;

use super::pattern::Segment;

/// Up to so many children of a node are searched in a line; comparing lengths first makes that cheaper than a
/// hash.
const NARROW: usize = 8;

/// The paths of one host and one kind, whole or prefix. Node 0 is the root; only the root exists at first.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    children: Children,
    parameter: Option<u32>,
    rules: Vec<u32>,
    /// Its own index for the root.
    parent: u32,
}

#[derive(Clone, Debug)]
enum Children {
    Narrow(Vec<(Box<[u8]>, u32)>),
    Wide(HashMap<Box<[u8]>, u32>),
}

impl Default for Children {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Children {
    #[inline]
    fn is_empty(&self) -> bool {
        matches!(self, Self::Narrow(list) if list.is_empty())
    }

    #[inline]
    fn get(&self, segment: &[u8]) -> Option<u32> {
        match self {
            Self::Narrow(list) => list
                .iter()
                .find(|(name, _)| **name == *segment)
                .map(|(_, child)| *child),
            Self::Wide(map) => map.get(segment).copied(),
        }
    }

    fn insert(&mut self, segment: &[u8], child: u32) {
        match self {
            Self::Narrow(list) if list.len() < NARROW => list.push((segment.into(), child)),
            Self::Narrow(list) => {
                let mut map: HashMap<_, _> = mem::take(list).into_iter().collect();
                map.insert(segment.into(), child);
                *self = Self::Wide(map);
            }
            Self::Wide(map) => {
                map.insert(segment.into(), child);
            }
        }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// Adds a rule behind those that the path has already.
    pub(super) fn add(&mut self, path: &[Segment], rule: u32) {
        let mut at = 0;
        for segment in path {
            at = self.child(at, segment);
        }
        if let Some(node) = self.node_mut(at) {
            node.rules.push(rule);
        }
    }

    /// Sorts the rules of every path.
    pub(super) fn sort(&mut self, rank: impl Fn(u32) -> (std::cmp::Reverse<usize>, u32)) {
        for node in &mut self.nodes {
            node.rules.sort_by_key(|&rule| rank(rule));
            node.rules.dedup();
        }
    }

    /// The rules of each path that has some.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.nodes
            .iter()
            .map(|node| node.rules.as_slice())
            .filter(|rules| !rules.is_empty())
    }

    /// The first fitting rule of a whole path. At each segment the static child goes before the parameter, so
    /// of two matching paths the one whose first difference is static wins. Visits no node twice.
    ///
    /// `path` is without its leading slash.
    #[inline]
    pub(super) fn find_whole(&self, path: &[u8], fits: &impl Fn(u32) -> bool) -> Option<u32> {
        if self.is_empty() {
            None
        } else {
            self.whole(0, Some(path), fits)
        }
    }

    /// The first fitting rule of the longest prefix that has one: down as far as the path is known, then up.
    ///
    /// `path` is without its leading slash; None = the path is no path, and only the root is its prefix.
    pub(super) fn find_prefix(&self, mut path: Option<&[u8]>, fits: &impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = 0;
        let mut node = self.node(at)?;
        while let Some(rest) = path
            && !node.children.is_empty()
        {
            let (segment, rest) = split(rest);
            let Some(child) = node.children.get(segment) else {
                break;
            };
            at = child;
            node = self.node(at)?;
            path = rest;
        }
        loop {
            if let Some(rule) = node.first(fits) {
                return Some(rule);
            }
            if at == node.parent {
                return None;
            }
            at = node.parent;
            node = self.node(at)?;
        }
    }

    fn whole(&self, at: u32, path: Option<&[u8]>, fits: &impl Fn(u32) -> bool) -> Option<u32> {
        let node = self.node(at)?;
        let Some(path) = path else {
            return node.first(fits);
        };
        let (segment, rest) = split(path);
        if let Some(child) = node.children.get(segment)
            && let Some(rule) = self.whole(child, rest, fits)
        {
            return Some(rule);
        }
        match node.parameter {
            Some(child) if !segment.is_empty() => self.whole(child, rest, fits),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self.nodes.as_slice(), [root] if root.rules.is_empty())
    }

    fn child(&mut self, at: u32, segment: &Segment) -> u32 {
        let known = self.node(at).and_then(|node| match segment {
            Segment::Static(text) => node.children.get(text.as_bytes()),
            Segment::Parameter(_) => node.parameter,
        });
        if let Some(child) = known {
            return child;
        }
        let child = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            parent: at,
            ..Node::default()
        });
        if let Some(node) = self.node_mut(at) {
            match segment {
                Segment::Static(text) => node.children.insert(text.as_bytes(), child),
                Segment::Parameter(_) => node.parameter = Some(child),
            }
        }
        child
    }

    #[inline]
    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(at).ok()?)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(at).ok()?)
    }
}

impl Node {
    #[inline]
    fn first(&self, fits: &impl Fn(u32) -> bool) -> Option<u32> {
        self.rules.iter().copied().find(|&rule| fits(rule))
    }
}

/// The first segment, and what follows its slash; None = the path ends.
#[inline]
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path
        .iter()
        .position(|&byte| byte == b'/')
        .and_then(|at| path.split_at_checked(at))
    {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_node_finds_what_a_narrow_one_finds() {
        let mut tree = Tree::new();
        for rule in 0..1000 {
            tree.add(&[Segment::Static(format!("r{rule}"))], rule);
            for known in [0, rule / 2, rule] {
                assert_eq!(
                    tree.find_prefix(Some(format!("r{known}/x").as_bytes()), &|_| true),
                    Some(known)
                );
            }
            assert_eq!(
                tree.find_prefix(Some(format!("r{}", rule + 1).as_bytes()), &|_| true),
                None
            );
        }
    }
}
