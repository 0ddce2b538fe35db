//! Whether those who cannot see, or cannot use a mouse, can use a page: axe-core's rules, which nobody here wrote.

use super::page::Page;
use crate::peers;
use serde_json::Value;

/// axe-core as it is brought into a page.
#[derive(Debug)]
pub struct Axe(String);

impl Axe {
    /// From the peers' folder; `None` when it is not here and the skip was recorded.
    #[must_use]
    pub fn find() -> Option<Self> {
        let script = peers::folder().join("node/node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(script);
        if source.is_err() {
            peers::missed("axe-core");
        }
        source.ok().map(Self)
    }

    /// What keeps somebody from using the page: violations that axe-core calls serious or critical, each with where it is.
    #[must_use]
    pub fn barriers(&self, page: &Page<'_>) -> Vec<String> {
        page.value(&format!("{}; null", self.0));
        let found = page.value(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))
                .flatMap(v => v.nodes.map(n => `${v.id} (${v.impact}): ${n.target.join(' ')}: ${n.failureSummary}`)))",
        );
        let list = found.as_array().expect("axe-core gives a list");
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}
