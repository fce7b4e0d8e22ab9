import EventLoop
import Foundation
import HTTPClient

/// nginx with one worker and kept connections to the provider: nothing but a reverse proxy.
final class PlainNginx {
    let url: String
    private let folder: URL
    private let process = Process()

    init(upstream: String) throws {
        let port = 18_990
        url = "http://127.0.0.1:\(port)"
        folder = FileManager.default.temporaryDirectory.appending(path: "bench-nginx-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.path(percentEncoded: false)
        try """
        worker_processes 1;
        daemon off;
        pid \(path)/pid;
        error_log \(path)/error.log;
        events { worker_connections 8192; }
        http {
          access_log \(path)/access.log;
          client_body_temp_path \(path)/body; proxy_temp_path \(path)/proxy; fastcgi_temp_path \(path)/fastcgi;
          uwsgi_temp_path \(path)/uwsgi; scgi_temp_path \(path)/scgi;
          keepalive_requests 1000000;
          upstream provider { server \(upstream.replacing("http://", with: "")); keepalive 512; keepalive_requests 1000000; }
          server {
            listen 127.0.0.1:\(port) backlog=4096;
            location / {
              proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
              proxy_read_timeout 120s;
            }
          }
        }
        """.write(to: folder.appending(path: "nginx.conf"), atomically: true, encoding: .utf8)
        process.executableURL = URL(filePath: "/usr/sbin/nginx")
        process.arguments = ["-p", path, "-c", path + "/nginx.conf"]
        try process.run()
    }

    func started(on loop: EventLoop) async throws {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        for _ in 0..<100 {
            if (try? await client.request(ClientRequest("GET", url + "/v1/models")).status) != nil { return }
            try await loop.sleep(for: .milliseconds(50))
        }
        throw BenchError(description: "nginx does not answer on \(url)")
    }

    /// The master's one child.
    func workerPID() throws -> Int32 {
        let children = try String(
            contentsOfFile: "/proc/\(process.processIdentifier)/task/\(process.processIdentifier)/children", encoding: .utf8)
        guard let worker = children.split(separator: " ").first.flatMap({ Int32($0) }) else {
            throw BenchError(description: "nginx has no worker")
        }
        return worker
    }

    func stop() {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }
}
