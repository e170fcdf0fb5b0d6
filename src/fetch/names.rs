//! The machine's network. In: a name, an address. Out: the addresses of the one, a connection to the other. In tests
//! also a stage: a resolver that answers by a script, and a record of what was asked and dialled.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

/// Asks for the addresses of a host, once; at most so many of them.
pub(super) async fn look_up(host: &str, port: u16, most: usize) -> io::Result<Vec<SocketAddr>> {
    #[cfg(test)]
    if let Some(answer) = stage::answer(host, port) {
        return Ok(answer);
    }
    Ok(lookup_host((host, port)).await?.take(most).collect())
}

/// Connects to an address.
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    #[cfg(test)]
    let address = stage::led(address);
    TcpStream::connect(address).await
}

#[cfg(test)]
pub(super) mod stage {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::net::{IpAddr, SocketAddr};
    use std::rc::Rc;

    thread_local! {
        static STAGE: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
    }

    #[derive(Debug)]
    struct State {
        /// What the look-ups to come are answered, the last one for ever.
        answers: VecDeque<Vec<IpAddr>>,
        asked: Vec<String>,
        dialled: Vec<SocketAddr>,
        /// Where whoever is dialled is really reached.
        peer: SocketAddr,
    }

    /// This thread's names are answered so for as long as it lives.
    #[derive(Debug)]
    pub(in crate::fetch) struct Stage(Rc<RefCell<State>>);

    impl Stage {
        pub(in crate::fetch) fn enter(answers: &[&[&str]], peer: SocketAddr) -> Self {
            let parse = |text: &&str| text.parse().expect("an address");
            let answers = answers.iter().map(|answer| answer.iter().map(parse).collect()).collect();
            let state = State { answers, asked: Vec::new(), dialled: Vec::new(), peer };
            let state = Rc::new(RefCell::new(state));
            STAGE.set(Some(Rc::clone(&state)));
            Self(state)
        }

        /// What was asked for and dialled since the last time.
        pub(in crate::fetch) fn told(&self) -> (Vec<String>, Vec<SocketAddr>) {
            let mut state = self.0.borrow_mut();
            (std::mem::take(&mut state.asked), std::mem::take(&mut state.dialled))
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            STAGE.set(None);
        }
    }

    fn present() -> Option<Rc<RefCell<State>>> {
        STAGE.with_borrow(Clone::clone)
    }

    pub(super) fn answer(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let here = present()?;
        let mut state = here.borrow_mut();
        state.asked.push(host.to_owned());
        let answer = match state.answers.len() {
            0 => Vec::new(),
            1 => state.answers[0].clone(),
            _ => state.answers.pop_front()?,
        };
        Some(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    pub(super) fn led(address: SocketAddr) -> SocketAddr {
        let Some(here) = present() else { return address };
        let mut state = here.borrow_mut();
        state.dialled.push(address);
        state.peer
    }
}
