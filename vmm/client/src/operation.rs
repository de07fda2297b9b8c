//! The operations of the API: what is asked of which path.

use hyper::Method;

/// An operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: Method,
    /// The path; `{NAME}` stands for an argument, as in the OpenAPI document.
    pub path: &'static str,
}

macro_rules! operations {
    ($($name:ident = $method:ident $path:literal;)*) => {
        $(pub(crate) const $name: &Operation = &Operation { method: Method::$method, path: $path };)*

        /// All operations that the client knows.
        pub const ALL: &[&Operation] = &[$($name),*];
    };
}

operations! {
    HEALTH = GET "/healthz";
    READY = GET "/readyz";
    OPENAPI = GET "/openapi.json";
    METRICS = GET "/metrics";
    INFO = GET "/v1/info";
    EVENTS = GET "/v1/events";
    STATS = GET "/v1/stats";
    CREATE_VM = POST "/v1/vms";
    LIST_VMS = GET "/v1/vms";
    SHOW_VM = GET "/v1/vms/{vm}";
    UPDATE_VM = PATCH "/v1/vms/{vm}";
    DELETE_VM = DELETE "/v1/vms/{vm}";
    START_VM = POST "/v1/vms/{vm}/start";
    STOP_VM = POST "/v1/vms/{vm}/stop";
    PAUSE_VM = POST "/v1/vms/{vm}/pause";
    RESUME_VM = POST "/v1/vms/{vm}/resume";
    RESET_VM = POST "/v1/vms/{vm}/reset";
    WAIT_VM = GET "/v1/vms/{vm}/wait";
    VM_STATS = GET "/v1/vms/{vm}/stats";
    VM_LOGS = GET "/v1/vms/{vm}/logs";
    VM_CONSOLE = GET "/v1/vms/{vm}/console";
    TAKE_SNAPSHOT = POST "/v1/vms/{vm}/snapshots";
    LIST_SNAPSHOTS = GET "/v1/snapshots";
    SHOW_SNAPSHOT = GET "/v1/snapshots/{snapshot}";
    DELETE_SNAPSHOT = DELETE "/v1/snapshots/{snapshot}";
    RESTORE_SNAPSHOT = POST "/v1/snapshots/{snapshot}/restore";
    EXPORT_SNAPSHOT = GET "/v1/snapshots/{snapshot}/archive";
    IMPORT_SNAPSHOT = POST "/v1/snapshots";
    ADD_IMAGE = POST "/v1/images";
    LIST_IMAGES = GET "/v1/images";
    SHOW_IMAGE = GET "/v1/images/{image}";
    DELETE_IMAGE = DELETE "/v1/images/{image}";
}
