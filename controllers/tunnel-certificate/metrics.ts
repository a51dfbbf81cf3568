// What the controller of the tunnel's certificate tells of itself.
import type { Gauge, Metrics } from '../../runtime/metrics.ts';

export class TunnelCertificateMetrics {
  readonly expiry: Gauge;

  constructor(metrics: Metrics) {
    this.expiry = metrics.gauge(
      'holdfast_controllers_tunnel_certificate_expiry_seconds',
      "When the tunnel servers' certificate runs out, as seconds since 1970; 0 while there is none that can be read.",
    );
    this.expiry.set(0);
  }
}
