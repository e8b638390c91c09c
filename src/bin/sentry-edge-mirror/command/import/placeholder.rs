//! `<endpoint>` and the like: what the recipe leaves to be filled in becomes a reference to the environment.

/// Replaces every `<name>` by `${NAME}`. Tells the variables.
pub(super) fn replace(text: &str) -> (String, Vec<String>) {
    let mut replaced = String::with_capacity(text.len());
    let mut variables = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((name, after)) = after.split_once('>') else {
            break;
        };
        let variable = variable(name);
        replaced.push_str(before);
        replaced.push_str(&format!("${{{variable}}}"));
        variables.push(variable);
        rest = after;
    }
    replaced.push_str(rest);
    (replaced, variables)
}

/// The names of the samples where the recipe means the same, else the placeholder's own.
fn variable(name: &str) -> String {
    match name {
        "endpoint" => return "RUM_ENDPOINT".to_owned(),
        "workspace_name" | "workspace" => return "RUM_WORKSPACE".to_owned(),
        "rum_service_id" | "service_id" => return "RUM_SERVICE_ID".to_owned(),
        _ => {}
    }
    let upper: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_ascii_uppercase(),
            _ => '_',
        })
        .collect();
    match upper.strip_prefix("RUM_") {
        Some(_) => upper,
        None => format!("RUM_{upper}"),
    }
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn placeholders_become_references() {
        for (text, replaced) in [
            ("plain", "plain"),
            ("<endpoint>", "${RUM_ENDPOINT}"),
            ("<endpoint>:80", "${RUM_ENDPOINT}:80"),
            ("a-<workspace_name>", "a-${RUM_WORKSPACE}"),
            (
                "<rum_service_id_for_project_1>",
                "${RUM_SERVICE_ID_FOR_PROJECT_1}",
            ),
            ("<my app>", "${RUM_MY_APP}"),
            ("<", "<"),
        ] {
            assert_eq!(replace(text).0, replaced, "{text}");
        }
        assert_eq!(replace("<a>/<b>").1, ["RUM_A", "RUM_B"]);
    }
}
