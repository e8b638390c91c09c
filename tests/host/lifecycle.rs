//! Root contexts: configuration, reload, drain, and new instances beside or after this one.
//!
//! Envoy (`wasm.cc`): every plugin of a VM gets `on_context_create`, `on_vm_start`, `on_configure`. A reload with the
//! same VM tries the new configuration in a throw-away instance first; then it makes a new root context, and the old
//! one gets `on_done` when nothing uses it any more. If that returns false, `proxy_done` ends it; `on_delete` is last.
//! Ticks and replies still reach a root context until then; deleting it cancels its calls.
//! nginx: root contexts (lanes) live as long as the worker, and a stopping worker says nothing.

use super::instance::{Host, StartError};
use super::leg::Way;
use super::options::{Options, Profile};
use super::request::Request;
use super::rules::Rule;
use super::state::{ContextId, Later, Life, Root, State};
use super::trap::Trap;

impl Host {
    /// One more root context in this instance: another plugin of the same VM (Envoy), a lane (nginx).
    pub fn add_root(&mut self, config: impl AsRef<[u8]>) -> ContextId {
        self.try_add_root(config)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_add_root(&mut self, config: impl AsRef<[u8]>) -> Result<ContextId, StartError> {
        self.create_root(config.as_ref(), true)
    }

    pub(super) fn create_root(
        &mut self,
        config: &[u8],
        vm_start: bool,
    ) -> Result<ContextId, StartError> {
        let id = self.next_context;
        self.next_context += 1;
        let root = Root {
            config: config.to_vec(),
            life: Life::Active,
            tick: None,
            ticked_once: false,
            streams: 0,
        };
        self.state_mut().roots.insert(id, root);
        self.call("proxy_on_context_create", id, &[id, 0])?;
        let started = self.start_root(id, config, vm_start);
        if started.is_err() {
            self.state_mut().roots.remove(&id);
        }
        started.map(|()| id)
    }

    fn start_root(
        &mut self,
        id: ContextId,
        config: &[u8],
        vm_start: bool,
    ) -> Result<(), StartError> {
        if vm_start {
            let size = self.state().told(self.state().options.vm_config.len());
            self.accept("proxy_on_vm_start", id, size)?;
        }
        let size = self.state().told(config.len());
        self.accept("proxy_on_configure", id, size)?;
        Ok(self.settle()?)
    }

    /// A start callback that may refuse.
    fn accept(
        &mut self,
        callback: &'static str,
        root: ContextId,
        size: u32,
    ) -> Result<(), StartError> {
        if self.call(callback, root, &[root, size])? != Some(0) {
            return Ok(());
        }
        if self.profile() == Profile::Nginx {
            let state = self.state_mut();
            let _ = state.broken(Rule::ConfigureRefused, callback);
            if let Some(violation) = state.violation.take() {
                panic!("{violation}; logs: {:#?}", self.logs());
            }
        }
        Err(StartError::Rejected {
            callback,
            logs: self.logs().to_vec(),
        })
    }

    /// Envoy: a new configuration reaches the same VM. Rejected, the old one keeps serving, undisturbed.
    pub fn reload(&mut self, config: impl AsRef<[u8]>) -> Result<ContextId, StartError> {
        assert_eq!(
            self.profile(),
            Profile::Envoy,
            "nginx reloads by stopping the worker: use stop and beside"
        );
        let config = config.as_ref();
        Self::try_new(
            Profile::Envoy,
            self.guest(),
            Options {
                config: config.to_vec(),
                ..self.options()
            },
        )?;
        let old: Vec<ContextId> = self.active_roots();
        let new = self.create_root(config, true)?;
        for root in old {
            self.drain_root(root)?;
        }
        Ok(new)
    }

    /// Envoy: the listener is removed; every root context ends when its streams have.
    pub fn drain(&mut self) {
        self.try_drain().unwrap_or_else(|trap| trap.raise());
    }

    pub fn try_drain(&mut self) -> Result<(), Trap> {
        assert_eq!(
            self.profile(),
            Profile::Envoy,
            "nginx does not drain: use stop"
        );
        self.active_roots()
            .into_iter()
            .try_for_each(|root| self.drain_root(root))
    }

    fn active_roots(&self) -> Vec<ContextId> {
        let roots = self.state().roots.iter();
        roots
            .filter(|(_, root)| root.life == Life::Active)
            .map(|(id, _)| *id)
            .collect()
    }

    fn drain_root(&mut self, id: ContextId) -> Result<(), Trap> {
        if let Some(root) = self.state_mut().roots.get_mut(&id) {
            root.life = Life::Draining;
        }
        self.end_if_drained(id)
    }

    /// `startShutdown`, once nothing holds the plugin any more.
    pub(super) fn end_if_drained(&mut self, id: ContextId) -> Result<(), Trap> {
        let drained = |root: &Root| root.life == Life::Draining && root.streams == 0;
        if !self.state().roots.get(&id).is_some_and(drained) {
            return Ok(());
        }
        let ended = self.call("proxy_on_done", id, &[id])? != Some(0);
        if let Some(root) = self.state_mut().roots.get_mut(&id) {
            root.life = Life::PendingDone;
        }
        if ended {
            self.delete_root(id)?;
        }
        self.settle()
    }

    fn delete_root(&mut self, id: ContextId) -> Result<(), Trap> {
        self.call("proxy_on_delete", id, &[id])?;
        let state = self.state_mut();
        state.roots.remove(&id);
        state.in_flight.retain(|_, flight| flight.root != id);
        Ok(())
    }

    /// A root context ends while its streams are open, with `on_done` before or without a word: what no host does. Its
    /// streams stay, and nobody serves new ones but another root context.
    pub fn end_root_first(&mut self, id: ContextId, with_done: bool) {
        let ended = |host: &mut Self| {
            if with_done {
                host.call("proxy_on_done", id, &[id])?;
            }
            host.delete_root(id)?;
            host.settle()
        };
        ended(self).unwrap_or_else(|trap: Trap| trap.raise());
    }

    /// Has this root context ended (`on_done` true or `proxy_done`, then `on_delete`)?
    pub fn is_gone(&self, root: ContextId) -> bool {
        !self.state().roots.contains_key(&root)
    }

    /// nginx: the worker stops. Ticks end at once, no callback says so, calls in flight are lost.
    pub fn stop(&mut self) {
        assert_eq!(self.profile(), Profile::Nginx, "Envoy drains: use drain");
        let state = self.state_mut();
        state.stopping = true;
        state.in_flight.clear();
        state.roots.values_mut().for_each(|root| root.tick = None);
    }

    /// Another instance in the same process: a second worker, the worker after a reload, or Envoy's new VM. It has its
    /// own contexts and calls, starts at this one's time and shares the metrics and the shared data.
    pub fn beside(&self, config: impl AsRef<[u8]>) -> Result<Self, StartError> {
        let options = Options {
            config: config.as_ref().to_vec(),
            ..self.options()
        };
        let mut state = State::new(self.profile(), options);
        state.clock = self.state().clock;
        state.metrics = self.state().metrics.clone();
        state.shared = self.state().shared.clone();
        // No two are alike.
        state.random.0 = state
            .random
            .0
            .wrapping_add(self.state().random.0)
            .wrapping_add(1);
        let mut host = Self::bare(self.guest(), state)?;
        host.create_root(config.as_ref(), true)?;
        Ok(host)
    }

    /// A fresh instance takes the place of this one, as hosts do after a trap: Envoy with `FAIL_RELOAD`, nginx at the
    /// next request (without `on_vm_start`). What was queued in the guest is lost; open streams are gone; metrics,
    /// log, calls and time are kept.
    pub fn restart(&mut self) -> Result<(), StartError> {
        let profile = self.profile();
        let configs: Vec<Vec<u8>> = self
            .state()
            .roots
            .values()
            .map(|root| root.config.clone())
            .collect();
        let old = std::mem::replace(self.state_mut(), State::new(profile, Options::new("")));
        let mut state = State::new(profile, old.options);
        (state.clock, state.metrics, state.shared) = (old.clock, old.metrics, old.shared);
        state.random = old.random;
        (state.logs, state.calls, state.next_token) = (old.logs, old.calls, old.next_token);
        let mut host = Self::bare(self.guest(), state)?;
        for config in configs {
            host.create_root(&config, profile == Profile::Envoy)?;
        }
        *self = host;
        Ok(())
    }

    fn options(&self) -> Options {
        self.state().options.clone()
    }

    /// What the callbacks asked the host to do after them.
    pub(super) fn settle(&mut self) -> Result<(), Trap> {
        while !self.state().later.is_empty() {
            match self.state_mut().later.remove(0) {
                Later::Resume(stream, way) => self.resume(stream, way)?,
                Later::LocalResponse(stream) => self.answer_locally(stream)?,
                Later::Done(root) => self.delete_root(root)?,
            }
        }
        Ok(())
    }

    fn answer_locally(&mut self, id: ContextId) -> Result<(), Trap> {
        let profile = self.profile();
        let Some(stream) = self.state_mut().streams.get_mut(&id) else {
            return Ok(());
        };
        let Some(local) = stream.exchange.local_response.clone() else {
            return Ok(());
        };
        stream.leg_mut(Way::Request).close();
        let came = stream.exchange.request.as_ref();
        let grpc = profile == Profile::Envoy && came.is_some_and(Request::is_grpc);
        self.send_response(id, &local.into_response(grpc))
    }
}
