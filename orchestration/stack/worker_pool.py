"""Starts a Python worker process for each that Flink asks for: ``python -m orchestration.stack.worker_pool --port N``.

Beam's own ``worker_pool_main`` would listen on every interface, ignore the pipeline's options in its workers (among
them the size of the state cache, which it fixes at nothing), and stop a worker that prints much, since it never reads
the pipe behind the worker's output. This pool listens on loopback and starts Beam's ordinary worker program, as the
container image does, but forked from a process that has imported it (``nursery``); artifacts are not fetched: workers
import from the same installation as the submitting program.
"""

import argparse
import logging
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import grpc
import psutil
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

from orchestration.stack.nursery import Nursery

HOST = "127.0.0.1"
PROVISION_TIMEOUT_S = 30
STOP_GRACE_S = 10
REAP_INTERVAL_S = 1.0
REQUEST_THREADS = 16  # a stop may take as long as its grace

_log = logging.getLogger(__name__)


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The workers that Flink asked for, by worker id."""

    def __init__(self) -> None:
        self._workers: dict[str, psutil.Process] = {}
        self._lock = threading.Lock()
        self._nursery = Nursery()
        self._former: list[Nursery] = []
        """Asked for no more workers, and not ended yet."""

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  (names fixed by the protocol)
        """Start a worker process, which then connects to the addresses in the request."""
        try:
            settings = worker_settings(request, provision_info(request))
            with self._lock:
                worker = self._workers[request.worker_id] = psutil.Process(self._fork(settings))
        except Exception:
            _log.exception("worker %s did not start", request.worker_id)
            return beam_fn_api_pb2.StartWorkerResponse(error=traceback.format_exc())
        _log.info("worker %s started: pid %d", request.worker_id, worker.pid)
        return beam_fn_api_pb2.StartWorkerResponse()

    def _fork(self, settings: Mapping[str, str]) -> int:
        """A worker of this nursery, or of a new one where this one's code is stale, or it has died."""
        try:
            pid = self._nursery.fork(settings)
        except RuntimeError as error:
            _log.warning("%s", error)
            pid = None
        if pid is None:
            self._nursery.close()
            self._former.append(self._nursery)
            self._nursery = Nursery()
            pid = self._nursery.fork(settings)
        if pid is None:
            raise RuntimeError("the applications' code changes while it is being imported: try again")
        return pid

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Stop a worker; one that is not known has ended already."""
        with self._lock:
            worker = self._workers.pop(request.worker_id, None)
        if worker is not None:
            _end([worker])
            _log.info("worker %s stopped: pid %d", request.worker_id, worker.pid)
        return beam_fn_api_pb2.StopWorkerResponse()

    def reap(self) -> None:
        """Forget the workers and nurseries that ended by themselves."""
        with self._lock:
            for worker_id in [key for key, worker in self._workers.items() if not worker.is_running()]:
                worker = self._workers.pop(worker_id)
                _log.info("worker %s has ended: pid %d", worker_id, worker.pid)
            self._former = [nursery for nursery in self._former if not nursery.reap()]

    def stop_all(self) -> None:
        """Stop every worker."""
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
            self._nursery.close()
        _end(workers)


def provision_info(request: Any) -> Any:
    """Ask the runner what the worker is to know: the pipeline's options above all."""
    with grpc.insecure_channel(request.provision_endpoint.url) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = stub.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            timeout=PROVISION_TIMEOUT_S,
            metadata=[("worker_id", request.worker_id)],
        )
    return answer.info


def worker_settings(request: Any, info: Any) -> dict[str, str]:
    """Return the environment variables from which Beam's worker program takes its settings."""
    settings = {
        "WORKER_ID": request.worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(request.control_endpoint or info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(request.logging_endpoint or info.logging_endpoint),
    }
    if info.HasField("status_endpoint"):
        settings["STATUS_API_SERVICE_DESCRIPTOR"] = _descriptor(info.status_endpoint)
    return settings


def _descriptor(endpoint: endpoints_pb2.ApiServiceDescriptor) -> str:
    return text_format.MessageToString(endpoint)


def _end(workers: Sequence[psutil.Process]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for worker in workers:
            with suppress(psutil.Error):  # gone; psutil compares the start time before it sends the signal
                worker.send_signal(number)
        _, workers = psutil.wait_procs(workers, timeout=STOP_GRACE_S)


def serve(port: int) -> tuple[grpc.Server, WorkerPool]:
    """Start serving on a port of the loopback address.

    Raises:
        RuntimeError: the port is taken.
    """
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(REQUEST_THREADS), options=options)
    pool = WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    return server, pool


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM, then stop the workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-5s %(name)s %(message)s")
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    server, pool = serve(args.port)
    _log.info("worker pool on %s:%d", HOST, args.port)
    while not stopping.wait(REAP_INTERVAL_S):
        pool.reap()
    server.stop(0)
    pool.stop_all()


if __name__ == "__main__":
    main()
