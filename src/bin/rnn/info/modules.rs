//! The modules of a model, as PyTorch prints them.

use elman::{ModuleKind, NamedModule};
use serde_json::{Value, json};

use super::shortened;

/// Most names of a module and of those that hold it; the rest of a longer name stands in one line.
const MAX_DEPTH: usize = 16;

/// A module with those in it.
#[derive(Default)]
struct Node {
    name: String,
    kind: Option<ModuleKind>,
    children: Vec<Node>,
}

/// The lines of `print(model)`; none if the model is the layer alone. A module whose class is unknown is a `Module`, or a
/// `Sequential` if those in it are numbered. Arguments that the file does not say are dots.
pub(super) fn printed(modules: &[NamedModule]) -> Vec<String> {
    let is_part = |module: &NamedModule| {
        !matches!(module.kind, ModuleKind::Rnn(_) | ModuleKind::Other { .. })
    };
    if !modules.iter().any(is_part) {
        return Vec::new();
    }
    let mut root = Node::default();
    for NamedModule { name, kind } in modules {
        let mut node = &mut root;
        for name in name.splitn(MAX_DEPTH, '.').filter(|name| !name.is_empty()) {
            if node.children.last().is_none_or(|last| last.name != name) {
                node.children.push(Node { name: name.to_owned(), ..Node::default() });
            }
            let last = node.children.len() - 1;
            node = &mut node.children[last];
        }
        node.kind = Some(kind.clone());
    }
    if let ModuleKind::Other { class } = root.kind.get_or_insert(UNKNOWN) {
        class.get_or_insert("Model".to_owned());
    }
    let mut lines = Vec::new();
    root.print("", "", &mut lines);
    lines
}

const UNKNOWN: ModuleKind = ModuleKind::Other { class: None };

impl Node {
    fn print(&self, indent: &str, label: &str, lines: &mut Vec<String>) {
        let is_numbered = !self.children.is_empty()
            && self.children.iter().all(|child| child.name.parse::<usize>().is_ok());
        let class = match self.kind.as_ref().unwrap_or(&UNKNOWN) {
            ModuleKind::Other { class: Some(class) } => shortened(class),
            ModuleKind::Other { class: None } if is_numbered => "Sequential".to_owned(),
            kind => kind.to_string(),
        };
        if self.children.is_empty() {
            let other = matches!(self.kind, Some(ModuleKind::Other { .. }));
            let arguments = if other { "(...)" } else { "" };
            return lines.push(format!("{indent}{label}{class}{arguments}"));
        }
        lines.push(format!("{indent}{label}{class}("));
        let inner = format!("{indent}  ");
        for child in &self.children {
            child.print(&inner, &format!("({}): ", shortened(&child.name)), lines);
        }
        lines.push(format!("{indent})"));
    }
}

/// The fields of the report: the name and the line of each module.
pub(super) fn fields(modules: &[NamedModule]) -> Vec<Value> {
    let field =
        |module: &NamedModule| json!({"name": module.name, "module": module.kind.to_string()});
    modules.iter().map(field).collect()
}
