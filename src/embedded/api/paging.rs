//! Pages of sorted keys, with prefixes rolled up at a delimiter. Pure.

/// What to list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    /// Only what comes after this key or rolled-up prefix.
    pub(super) after: &'a str,
    pub(super) max: usize,
}

/// One page; items and prefixes together are at most the page's size.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) prefixes: Vec<String>,
    /// The last key or prefix told, where more follows.
    pub(super) next: Option<String>,
}

/// Takes one page of `entries`, which come in the order of their keys.
pub(super) fn page<'a, T>(entries: impl IntoIterator<Item = (&'a str, T)>, query: Query<'_>) -> Page<T> {
    let mut page = Page { items: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = String::new();
    for (key, item) in entries {
        let Some(rest) = key.strip_prefix(query.prefix) else { continue };
        let rolled = query
            .delimiter
            .filter(|delimiter| !delimiter.is_empty())
            .and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()))
            .and_then(|end| rest.get(..end))
            .map(|head| format!("{}{head}", query.prefix));
        let told = rolled.as_deref().unwrap_or(key);
        if told <= query.after || page.prefixes.last().is_some_and(|prefix| prefix == told) {
            continue;
        }
        if page.items.len() + page.prefixes.len() >= query.max {
            page.next = Some(last).filter(|last| !last.is_empty());
            return page;
        }
        told.clone_into(&mut last);
        match rolled {
            Some(prefix) => page.prefixes.push(prefix),
            None => page.items.push(item),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["a", "b/1", "b/2", "b/c/3", "d", "e/4"];

    fn list(query: Query<'_>) -> Page<&'static str> {
        page(KEYS.map(|key| (key, key)), query)
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        for delimiter in [None, Some("/")] {
            let whole = list(Query { delimiter, max: 1000, ..Query::default() });
            for max in 1..=6 {
                let (mut items, mut prefixes, mut after) = (Vec::new(), Vec::new(), String::new());
                loop {
                    let part = list(Query { delimiter, max, after: &after, ..Query::default() });
                    items.extend(part.items);
                    prefixes.extend(part.prefixes);
                    let Some(next) = part.next else { break };
                    after = next;
                }
                assert_eq!((&items, &prefixes), (&whole.items, &whole.prefixes), "max {max}");
            }
        }
    }

    #[test]
    fn a_delimiter_rolls_up_below_the_prefix() {
        let page = list(Query { prefix: "b/", delimiter: Some("/"), max: 1000, ..Query::default() });
        assert_eq!(page.items, ["b/1", "b/2"]);
        assert_eq!(page.prefixes, ["b/c/"]);
    }

    #[test]
    fn a_page_of_none_is_not_followed_by_another() {
        assert_eq!(list(Query { max: 0, ..Query::default() }).next, None);
    }
}
