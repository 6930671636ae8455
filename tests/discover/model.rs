//! Random updates, against the simplest thing that could be right.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::discover::{Follow, Update, once};
use evenkeel::set::Subset;
use evenkeel::{Backend, Pool};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What is said of whom: a value and a weight, or that it is gone.
type Said = (u8, Option<(u8, u32)>);

#[derive(Clone, Debug)]
enum Word {
    All(Vec<Said>),
    Changes(Vec<Said>),
    Wait,
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let said = (0..6u8, prop::option::of((0..3u8, 0..3u32)));
    let said = prop::collection::vec(said, 0..6);
    let word = prop_oneof![
        said.clone().prop_map(Word::All),
        said.prop_map(Word::Changes),
        Just(Word::Wait)
    ];
    prop::collection::vec(word, 1..30)
}

fn backend(id: u8, (value, weight): (u8, u32)) -> Backend<u8> {
    Backend::new(id.to_string(), value).weight(weight)
}

fn update(word: &Word) -> Option<Update<u8>> {
    Some(match word {
        Word::All(said) => {
            let backends = said.iter();
            Update::all(backends.filter_map(|&(id, said)| Some(backend(id, said?))))
        }
        Word::Changes(said) => {
            said.iter()
                .fold(Update::changes(), |update, &(id, said)| match said {
                    Some(said) => update.put(backend(id, said)),
                    None => update.remove(id.to_string()),
                })
        }
        Word::Wait => return None,
    })
}

type Model = BTreeMap<u8, (u8, u32)>;

fn apply(model: &mut Model, word: &Word) {
    let (Word::All(said) | Word::Changes(said)) = word else {
        return;
    };
    if let Word::All(_) = word {
        model.clear();
    }
    for &(id, said) in said {
        match (said, word) {
            (Some(said), _) => drop(model.insert(id, said)),
            (None, Word::Changes(_)) => drop(model.remove(&id)),
            (None, _) => {}
        }
    }
}

async fn run(words: Vec<Word>, allow_empty: bool, subset: bool) {
    let pool: Pool<u8> = Pool::new();
    let (says, updates) = mpsc::unbounded_channel();
    let mut follow =
        Follow::new(once("words", UnboundedReceiverStream::new(updates))).allow_empty(allow_empty);
    if subset {
        // All of them, by the other way.
        follow = follow.subset(Subset::rendezvous("client", 100).unwrap());
    }
    let _feeding = follow.spawn(&pool);
    let (mut model, mut good) = (Model::new(), Model::new());
    let mut ends = words.clone();
    ends.push(Word::Wait);
    for word in ends {
        apply(&mut model, &word);
        if let Some(update) = update(&word) {
            says.send(Ok(update)).unwrap();
        } else {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if allow_empty || !model.is_empty() {
                good.clone_from(&model);
            }
            let list = pool.list();
            let has: Model = list
                .iter()
                .map(|info| {
                    let value = pool.value(info.id()).unwrap();
                    (info.id().parse().unwrap(), (value, info.weight()))
                })
                .collect();
            assert_eq!(has, good, "allow_empty {allow_empty}, subset {subset}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_has_what_was_said_last(words in words(), allow_empty: bool, subset: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let mut runtime = runtime;
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(words, allow_empty, subset));
    }
}
