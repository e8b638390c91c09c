"""A receiver of OTLP metrics over gRPC: what an OpenTelemetry Collector would be sent."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
Labels = tuple[tuple[str, str], ...]


class Otlp:
    """Keeps the newest value of each series. `violations`: what no Collector would understand."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, Labels], float] = {}
        self.counters: set[str] = set()
        self.exports = 0
        self.violations: list[str] = []
        handler = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportMetricsServiceRequest.FromString,
            response_serializer=ExportMetricsServiceResponse.SerializeToString,
        )
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _export(self, request: ExportMetricsServiceRequest, _: grpc.ServicerContext) -> ExportMetricsServiceResponse:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._take(metric)
        self.exports += 1
        return ExportMetricsServiceResponse()

    def _take(self, metric: Metric) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            self.violations.append(f"{metric.name} has no data")
            return
        data = getattr(metric, kind)
        if kind == "sum":
            self.counters.add(metric.name)
            if not data.is_monotonic or data.aggregation_temporality != AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE:
                self.violations.append(f"{metric.name} is a sum, but not monotonic and cumulative")
        for point in data.data_points:
            labels = tuple(sorted((each.key, each.value.string_value) for each in point.attributes))
            value = point.count if kind == "histogram" else getattr(point, point.WhichOneof("value"))
            self.values[metric.name, labels] = float(value)

    def close(self) -> None:
        self._server.stop(1).wait()
