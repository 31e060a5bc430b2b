//! Interface `exchange`: the request and response of the running hook.

use std::time::Duration;

use wasmtime::component::Resource;

use super::imports::exchange::{Host, WhenClientLeaves as WitWhenClientLeaves};
use super::imports::types::{Problem, Section as WitSection, Side as WitSide};
use super::{Blob, Fallible, HostState, Trap};
use crate::exchange::{
    Aim, CaptureOrder, EditError, Exchange, FieldNames, Phase, Section, Side, WhenClientLeaves, address_text,
    to_text,
};

impl From<WitSide> for Side {
    fn from(side: WitSide) -> Self {
        match side {
            WitSide::Request => Self::Request,
            WitSide::Response => Self::Response,
        }
    }
}

impl From<WitSection> for Section {
    fn from(section: WitSection) -> Self {
        match section {
            WitSection::Request => Self::Request,
            WitSection::Response => Self::Response,
            WitSection::RequestTrailers => Self::RequestTrailers,
            WitSection::ResponseTrailers => Self::ResponseTrailers,
        }
    }
}

/// An edit that was refused is the guest's to handle.
fn edited(result: Result<(), EditError>) -> Fallible<()> {
    Ok(result.map_err(Problem::from))
}

impl HostState {
    fn aim(&mut self, section: WitSection) -> Trap<(&mut Exchange, Aim, &mut FieldNames)> {
        let aim = Aim {
            phase: self.phase,
            stage: self.stage,
            section: section.into(),
        };
        let (exchange, names) = self.current_and_names()?;
        Ok((exchange, aim, names))
    }
}

impl Host for HostState {
    fn id(&mut self) -> Trap<u64> {
        Ok(self.current()?.id)
    }

    fn route(&mut self) -> Trap<String> {
        Ok(self.current()?.route.as_deref().unwrap_or_default().to_owned())
    }

    fn client_ip(&mut self) -> Trap<String> {
        Ok(address_text(self.current()?.client_ip))
    }

    fn property(&mut self, key: String) -> Trap<Option<String>> {
        Ok(self.current()?.property(&key))
    }

    fn elapsed_us(&mut self) -> Trap<u64> {
        Ok(self.current()?.elapsed_us())
    }

    fn remaining_us(&mut self) -> Trap<u64> {
        Ok(self.current()?.remaining_us())
    }

    fn method(&mut self) -> Trap<String> {
        Ok(self.current()?.request.method.as_str().to_owned())
    }

    fn set_method(&mut self, method: String) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_method(phase, &method))
    }

    fn authority(&mut self) -> Trap<String> {
        Ok(to_text(self.current()?.request.authority.as_bytes()))
    }

    fn set_authority(&mut self, authority: String) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_authority(phase, &authority))
    }

    fn path(&mut self) -> Trap<String> {
        Ok(self.current()?.request.target.path().to_owned())
    }

    fn query(&mut self) -> Trap<Option<String>> {
        Ok(self.current()?.request.target.query().map(str::to_owned))
    }

    fn set_target(&mut self, target: String) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_target(phase, &target))
    }

    fn status(&mut self) -> Trap<u16> {
        Ok(self.current()?.status())
    }

    fn set_status(&mut self, status: u16) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_status(phase, status))
    }

    fn header(&mut self, section: WitSection, name: String) -> Trap<Option<String>> {
        let (exchange, names) = self.current_and_names()?;
        let value = exchange
            .fields(section.into())
            .zip(names.any(name.as_bytes()).ok())
            .and_then(|(fields, name)| fields.get(name));
        Ok(value.map(|value| to_text(value.as_bytes())))
    }

    fn header_values(&mut self, section: WitSection, name: String) -> Trap<Vec<String>> {
        let Some(fields) = self.current()?.fields(section.into()) else {
            return Ok(Vec::new());
        };
        Ok(fields
            .get_all(name.as_str())
            .iter()
            .map(|value| to_text(value.as_bytes()))
            .collect())
    }

    fn header_block(&mut self, section: WitSection) -> Trap<Vec<u8>> {
        let Some(fields) = self.current()?.fields(section.into()) else {
            return Ok(Vec::new());
        };
        let size = fields
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        let mut block = Vec::with_capacity(size);
        for (name, value) in fields {
            block.extend_from_slice(name.as_str().as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        Ok(block)
    }

    fn headers(&mut self, section: WitSection) -> Trap<Vec<(String, String)>> {
        let Some(fields) = self.current()?.fields(section.into()) else {
            return Ok(Vec::new());
        };
        Ok(fields
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), to_text(value.as_bytes())))
            .collect())
    }

    fn set_header(&mut self, section: WitSection, name: String, value: String) -> Fallible<()> {
        let (exchange, aim, names) = self.aim(section)?;
        edited(exchange.set_header(aim, names, &name, &value))
    }

    fn append_header(&mut self, section: WitSection, name: String, value: String) -> Fallible<()> {
        let (exchange, aim, names) = self.aim(section)?;
        edited(exchange.append_header(aim, names, &name, &value))
    }

    fn remove_header(&mut self, section: WitSection, name: String) -> Fallible<()> {
        let (exchange, aim, names) = self.aim(section)?;
        edited(exchange.remove_header(aim, names, &name))
    }

    fn edit_headers(&mut self, section: WitSection, set: Vec<u8>, append: Vec<u8>) -> Fallible<()> {
        let (exchange, aim, names) = self.aim(section)?;
        edited(exchange.edit_headers(aim, names, &set.into(), &append.into()))
    }

    fn state(&mut self) -> Trap<Option<Vec<u8>>> {
        let (exchange, _, _, stage) = self.editing()?;
        Ok(exchange.state(stage).map(|bytes| bytes.to_vec()))
    }

    fn set_state(&mut self, bytes: Option<Vec<u8>>) -> Fallible<()> {
        let (exchange, _, phase, stage) = self.editing()?;
        edited(exchange.set_state(phase, stage, bytes))
    }

    fn attribute(&mut self, key: String) -> Trap<Option<String>> {
        Ok(self.current()?.attributes.get(&key).map(str::to_owned))
    }

    fn set_attribute(&mut self, key: String, value: Option<String>) -> Fallible<()> {
        let (exchange, entry, phase, _) = self.editing()?;
        edited(exchange.set_attribute(phase, &entry.grants.attributes, &key, value))
    }

    fn set_upstream(&mut self, name: String) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_upstream(phase, &name))
    }

    fn set_retry(&mut self, per_try_ms: u32, extra_tries: u8) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        let each = Duration::from_millis(per_try_ms.into());
        edited(exchange.set_tries(phase, each, extra_tries))
    }

    fn delay(&mut self, ms: u32) -> Fallible<()> {
        let (exchange, _, phase, _) = self.editing()?;
        edited(exchange.set_delay(phase, Duration::from_millis(ms.into())))
    }

    fn skip_body(&mut self, side: WitSide) -> Trap<()> {
        let (exchange, _, phase, stage) = self.editing()?;
        // Asking in or after the body hook itself is too late and changes nothing.
        let _: Phase = phase;
        if let Some(stage) = exchange.stage_mut(stage) {
            match side {
                WitSide::Request => stage.skip_request_body = true,
                WitSide::Response => stage.skip_response_body = true,
            }
        }
        Ok(())
    }

    fn capture_body(&mut self, side: WitSide, max: u64, when: WitWhenClientLeaves) -> Trap<()> {
        let (exchange, entry, phase, stage) = self.editing()?;
        let order = CaptureOrder {
            max: max.min(entry.max_body),
            when_client_leaves: match when {
                WitWhenClientLeaves::Stop => WhenClientLeaves::Stop,
                WitWhenClientLeaves::Finish => WhenClientLeaves::Finish,
            },
        };
        exchange.capture_body(phase, stage, side.into(), order);
        Ok(())
    }

    fn captured(&mut self, side: WitSide) -> Trap<Option<Resource<Blob>>> {
        let (exchange, _, phase, stage) = self.editing()?;
        let copy = exchange.captured(phase, stage, side.into());
        copy.map(|bytes| self.lend(bytes)).transpose()
    }
}
