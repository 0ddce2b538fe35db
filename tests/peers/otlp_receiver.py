"""An OpenTelemetry receiver made of OpenTelemetry's own definitions: it understands a request, or answers 400.

Prints its port, and then one line of JSON a request.
"""

import http.server
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportMetricsServiceRequest()
        try:
            json_format.Parse(body, request)
        except json_format.ParseError as why:
            print(json.dumps({"error": str(why)}), flush=True)
            self.send_error(400)
            return
        print(json.dumps(self.told(request)), flush=True)
        answer = json_format.MessageToJson(ExportMetricsServiceResponse()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def told(self, request):
        def words(attributes):
            return {one.key: one.value.string_value for one in attributes}

        points = []
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    sort = metric.WhichOneof("data")
                    for point in getattr(metric, sort).data_points:
                        points.append(
                            {
                                "name": metric.name,
                                "unit": metric.unit,
                                "sort": sort,
                                "monotonic": sort == "sum" and metric.sum.is_monotonic,
                                "labels": words(point.attributes),
                                "value": point.as_double,
                                "time": point.time_unix_nano,
                                "start": point.start_time_unix_nano,
                            }
                        )
        return {
            "path": self.path,
            "type": self.headers["Content-Type"],
            "authorization": self.headers["Authorization"],
            "resource": words(request.resource_metrics[0].resource.attributes),
            "points": points,
        }

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_address[1], flush=True)
sys.stdout.flush()
server.serve_forever()
