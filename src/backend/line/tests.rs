use std::sync::Mutex as StdMutex;
use std::task::Wake;

use super::*;

/// Who was woken, in order.
type Woken = Arc<StdMutex<Vec<u32>>>;

struct Named(u32, Woken);

impl Wake for Named {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn line(newest_first: bool) -> (Arc<Line>, Woken) {
    (
        Arc::new(Line::new(1_000_000, newest_first)),
        Woken::default(),
    )
}

fn join(line: &Arc<Line>, name: u32, woken: &Woken) -> Place {
    let waker = Arc::new(Named(name, Arc::clone(woken))).into();
    Line::join(line, &waker).expect("the line is not full")
}

fn called(place: &mut Place) -> bool {
    place
        .poll_called(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

fn take(woken: &Woken) -> Vec<u32> {
    std::mem::take(&mut woken.lock().unwrap())
}

#[test]
fn the_oldest_is_called_first_or_the_newest_as_it_was_set() {
    for (newest_first, expected) in [(false, [0, 1, 2, 3]), (true, [3, 2, 1, 0])] {
        let (line, woken) = line(newest_first);
        let places = [0, 1, 2, 3].map(|name| join(&line, name, &woken));
        for _ in 0..5 {
            line.call_next();
        }
        assert_eq!(take(&woken), expected);
        places.into_iter().for_each(Place::leave);
        assert!(line.is_empty());
        assert!(take(&woken).is_empty());
    }
}

#[test]
fn the_order_changes_for_those_who_join_later() {
    let (line, woken) = line(false);
    let _early = [0, 1].map(|name| join(&line, name, &woken));
    line.set(3, true);
    let _late = join(&line, 2, &woken);
    assert!(Line::join(&line, Waker::noop()).is_none(), "it is full");
    line.set(4, false);
    let _last = join(&line, 3, &woken);
    line.call_all();
    assert_eq!(take(&woken), [2, 0, 1, 3]);
}

#[test]
fn a_full_line_takes_nobody_until_one_has_left() {
    let line = Arc::new(Line::new(1, true));
    let place = Line::join(&line, Waker::noop());
    assert!(place.is_some());
    assert!(Line::join(&line, Waker::noop()).is_none());
    drop(place);
    assert!(Line::join(&line, Waker::noop()).is_some());
    assert!(Line::join(&Arc::new(Line::new(0, false)), Waker::noop()).is_none());
}

#[test]
fn as_many_are_called_as_there_is_room_for() {
    let (line, woken) = line(false);
    let [first, second, _third] = [0, 1, 2].map(|name| join(&line, name, &woken));
    line.call(|| 1);
    line.call(|| 1);
    assert_eq!(take(&woken), [0]);
    line.call(|| 2);
    assert_eq!(take(&woken), [1]);
    first.leave();
    line.call(|| 1);
    assert!(take(&woken).is_empty());
    second.leave();
    line.call(|| 1);
    assert_eq!(take(&woken), [2]);
}

#[test]
fn room_is_not_asked_for_while_nobody_waits() {
    let (line, _) = line(false);
    line.call(|| panic!("nobody waits"));
}

#[test]
fn a_call_lasts_until_it_is_answered() {
    let (line, woken) = line(false);
    let mut place = join(&line, 0, &woken);
    assert!(!called(&mut place));
    line.call_next();
    assert!(called(&mut place) && called(&mut place));
    place.wait_again();
    assert!(!called(&mut place));
}

#[test]
fn who_waits_again_keeps_the_place() {
    let (line, woken) = line(false);
    let mut places = [0, 1, 2, 3].map(|name| join(&line, name, &woken));
    for _ in 0..3 {
        line.call_next();
    }
    assert_eq!(take(&woken), [0, 1, 2]);
    places[1].wait_again();
    places[0].wait_again();
    assert!(take(&woken).is_empty());
    let order = [0, 1, 3].map(|expected| {
        line.call_next();
        called(&mut places[expected])
    });
    assert_eq!(order, [true; 3]);
}

#[test]
fn room_of_no_use_goes_to_those_behind_and_never_back() {
    let (line, woken) = line(false);
    let mut places = [0, 1, 2, 3].map(|name| join(&line, name, &woken));
    line.call_next();
    places[0].pass_on();
    places[1].pass_on();
    assert_eq!(take(&woken), [0, 1, 2]);
    places[2].pass_on();
    places[3].pass_on();
    assert_eq!(take(&woken), [3]);
    assert!(places.iter_mut().all(|place| !called(place)));
    // Nothing to pass on.
    places[0].pass_on();
    assert!(take(&woken).is_empty());
    // Those who have been called already are stepped over.
    places.iter_mut().take(2).for_each(|_| line.call_next());
    places[0].pass_on();
    assert!(!called(&mut places[0]) && called(&mut places[1]));
    assert!(called(&mut places[2]) && !called(&mut places[3]));
}

#[test]
fn a_called_one_that_goes_away_hands_the_call_on() {
    let (line, woken) = line(false);
    let [first, second, third] = [0, 1, 2].map(|name| join(&line, name, &woken));
    drop(second);
    assert!(take(&woken).is_empty());
    line.call_next();
    drop(first);
    assert_eq!(take(&woken), [0, 2]);
    third.leave();
    assert!(line.is_empty());
}

#[test]
fn a_waker_may_use_the_line_that_wakes_or_drops_it() {
    struct Holds(StdMutex<Option<Place>>, Arc<Line>);

    impl Wake for Holds {
        fn wake(self: Arc<Self>) {
            self.1.call_next();
        }
    }

    impl Drop for Holds {
        fn drop(&mut self) {
            self.0.lock().unwrap().take();
        }
    }

    let (line, _) = line(false);
    let holds = |place| {
        let place = StdMutex::new(place);
        Arc::new(Holds(place, Arc::clone(&line)))
    };
    let other = || Line::join(&line, Waker::noop());
    let mut place = Line::join(&line, &holds(other()).into()).unwrap();
    assert!(!called(&mut place), "which drops the first waker");
    let waker = holds(other()).into();
    assert!(
        place
            .poll_called(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    line.call_next();
    assert!(called(&mut place));
    let last = Line::join(&line, &holds(other()).into()).unwrap();
    drop(last);
    drop(place);
    assert!(line.is_empty());
}

#[test]
fn any_steps_keep_the_order_of_a_plain_list() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        let (line, woken) = line(random.bool());
        // The places in order, with whether they have been called.
        let mut list: Vec<(u32, bool, Place)> = Vec::new();
        let mut expected = Vec::new();
        let mut newest_first = random.bool();
        line.set(20, newest_first);
        for name in 0..300 {
            let at = random.usize(0..list.len().max(1));
            match random.u8(0..7) {
                0 | 1 if list.len() < 20 => {
                    let place = join(&line, name, &woken);
                    let index = if newest_first { 0 } else { list.len() };
                    list.insert(index, (name, false, place));
                }
                2 => {
                    line.call_next();
                    expected.extend(call_from(&mut list, 0));
                }
                3 => {
                    newest_first = random.bool();
                    line.set(20, newest_first);
                }
                4 if !list.is_empty() => {
                    let (_, was_called, place) = list.remove(at);
                    if random.bool() {
                        place.leave();
                    } else {
                        drop(place);
                        if was_called {
                            expected.extend(call_from(&mut list, 0));
                        }
                    }
                }
                5 if !list.is_empty() => {
                    list[at].2.wait_again();
                    rearm(&mut list[at], &woken);
                }
                6 if !list.is_empty() && list[at].1 => {
                    list[at].2.pass_on();
                    expected.extend(call_from(&mut list, at + 1));
                    rearm(&mut list[at], &woken);
                }
                _ => {}
            }
            assert_eq!(*woken.lock().unwrap(), expected, "seed {seed}");
            assert_eq!(line.len() as usize, list.len(), "seed {seed}");
            let counted = list.iter().filter(|(_, called, _)| *called).count();
            assert_eq!(line.lock().called() as usize, counted, "seed {seed}");
        }
    }
}

fn call_from(list: &mut [(u32, bool, Place)], at: usize) -> Option<u32> {
    let next = list.iter_mut().skip(at).find(|(_, called, _)| !called)?;
    next.1 = true;
    Some(next.0)
}

/// It waits again, to be woken by its name.
fn rearm((name, called, place): &mut (u32, bool, Place), woken: &Woken) {
    *called = false;
    let waker = Arc::new(Named(*name, Arc::clone(woken))).into();
    assert!(
        place
            .poll_called(&mut Context::from_waker(&waker))
            .is_pending()
    );
}

#[test]
fn slots_are_used_again() {
    let (line, woken) = line(false);
    for name in 0..10_000 {
        let places = [(); 3].map(|()| join(&line, name, &woken));
        line.call_next();
        drop(places);
    }
    assert_eq!(line.lock().slots(), 3);
}
