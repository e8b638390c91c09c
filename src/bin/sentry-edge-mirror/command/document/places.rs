//! The lines of everything in a configuration, by path as the core writes it: `rum.projects.42`, `rum.exclude[0]`.

use super::{Node, Value};
use std::collections::HashMap;

/// Made once for all problems of a configuration, which may be as many as it has keys.
#[derive(Debug)]
pub(crate) struct Places {
    root: usize,
    lines: HashMap<String, usize>,
}

impl Places {
    pub(crate) fn new(root: &Node) -> Self {
        let mut places = Self {
            root: root.line,
            lines: HashMap::new(),
        };
        places.add(root, &mut String::new());
        places
    }

    /// Of a repeated key the last line stays: that is the one too many.
    fn add(&mut self, node: &Node, path: &mut String) {
        let length = path.len();
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&entry.key);
                    self.lines.insert(path.clone(), entry.line);
                    self.add(&entry.value, path);
                    path.truncate(length);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    self.lines.insert(path.clone(), item.line);
                    self.add(item, path);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// The line of a path, or of the innermost part of it that is there.
    pub(crate) fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.root,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::Places;

    const YAML: &str = "rum:\n  a.b: 1\n  projects:\n    \"42\":\n      workspace: w\n  exclude:\n    - 1\n    - 2\n  x: 1\n  x: 2\n";

    #[test]
    fn paths_are_found_and_missing_ones_where_they_belong() {
        let documents = yaml::parse(YAML).unwrap();
        let places = Places::new(&documents[0]);
        for (path, line) in [
            ("rum", 1),
            ("rum.a.b", 2),
            ("rum.projects.42.workspace", 5),
            ("rum.projects.42.service_id", 4),
            ("rum.projects.43", 3),
            ("rum.upstream", 1),
            ("rum.exclude[1]", 8),
            ("rum.exclude[9]", 6),
            ("rum.x", 10),
            ("sls", 1),
            ("", 1),
        ] {
            assert_eq!(places.line(path), line, "{path}");
        }
    }
}
