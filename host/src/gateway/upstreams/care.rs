//! From the tables of an upstream to the rules of its care. It refuses to know what follows from them.

use crate::config;
use crate::upstream::{
    BreakerPlan, BreakerRules, CareRules, GrpcProbe, HealthRules, HttpProbe, LimitRules, OutlierRules,
    Pauses, Probe, Scope, Thresholds,
};

/// The rules that `config` says.
pub(super) fn rules(config: &config::Care) -> CareRules {
    CareRules {
        health: config.health_check.as_ref().map(health),
        outlier: config.outlier.as_ref().map(outlier),
        breaker: config.breaker.as_ref().map(breaker),
        limits: config.limits.as_ref().map(limits),
    }
}

fn health(config: &config::HealthCheck) -> HealthRules {
    HealthRules {
        probe: match &config.probe {
            config::HealthProbe::Tcp => Probe::Tcp,
            config::HealthProbe::Grpc(grpc) => Probe::Grpc(GrpcProbe {
                service: grpc.service.clone(),
                host: grpc.host.clone(),
            }),
            config::HealthProbe::Http(http) => Probe::Http(HttpProbe {
                method: http.method.clone(),
                path: http.path.clone(),
                host: http.host.clone(),
                expect: http.expect.clone(),
            }),
        },
        interval: config.interval,
        timeout: config.timeout,
        thresholds: Thresholds {
            healthy: config.healthy_threshold,
            unhealthy: config.unhealthy_threshold,
        },
        port: config.port,
    }
}

fn outlier(config: &config::Outlier) -> OutlierRules {
    OutlierRules {
        gateway_errors: config.gateway_errors,
        server_errors: config.server_errors,
        base_time: config.base_time,
        max_time: config.max_time,
        max_percent: config.max_percent,
    }
}

fn breaker(config: &config::Breaker) -> BreakerPlan {
    BreakerPlan {
        rules: BreakerRules {
            consecutive: config.consecutive,
            error_percent: config.error_percent,
            slow_percent: config.slow_percent,
            slow_after: config.slow_after,
            min_requests: config.min_requests,
            window: config.window,
            pauses: Pauses {
                first: config.open_time,
                longest: config.max_open_time,
                trials: config.trials,
                successes: config.successes,
            },
        },
        scope: match config.scope {
            config::BreakerScope::Upstream => Scope::Upstream,
            config::BreakerScope::Endpoint => Scope::Endpoint,
            config::BreakerScope::Both => Scope::Both,
        },
        statuses: config.statuses.clone(),
    }
}

fn limits(config: &config::UpstreamLimits) -> LimitRules {
    LimitRules {
        connections: config.connections,
        pending: config.pending,
        pending_timeout: config.pending_timeout,
        requests: config.requests,
    }
}
