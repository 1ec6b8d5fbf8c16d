//! Target for the whole router, in both modes: sends a sequence of generated requests and checks
//! every response against the OpenAPI document.

use arbitrary::{Arbitrary as _, Unstructured};
use axum::http::Method;

use crate::FuzzTarget;
use crate::request_sequence::{GeneratedRequest, RequestSequence};
use crate::response_checker::ResponseChecker;
use crate::service::Service;

/// The most requests of one input.
const MAX_REQUESTS: usize = 12;

pub(crate) fn prepare() -> FuzzTarget {
    let services = [false, true].map(Service::start);
    let checker = ResponseChecker::for_service(&services[0]);
    let operations = checker.operations();
    Box::new(move |data| {
        let Ok(sequence) = RequestSequence::arbitrary_take_rest(Unstructured::new(data)) else {
            return;
        };
        let service = &services[usize::from(sequence.is_reference_mode)];
        service.reset();
        for request in sequence.requests.iter().take(MAX_REQUESTS) {
            send(service, &checker, &operations, request);
        }
    })
}

fn send(
    service: &Service,
    checker: &ResponseChecker,
    operations: &[(String, String)],
    generated: &GeneratedRequest,
) {
    let Some(request) = generated.build(service, operations) else { return };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let has_field = |name: &str| request.headers().contains_key(name);
    let is_preflight = method == Method::OPTIONS
        && has_field("origin")
        && has_field("access-control-request-method");
    let response = service.send(request);
    if is_preflight {
        assert_eq!(response.status, 200, "{response:?}");
        return;
    }
    checker.check_response(&method, &path, &response);
}
