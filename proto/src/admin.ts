export * from './gen/google/rpc/error_details_pb.js';
export * from './gen/google/rpc/status_pb.js';
export * from './gen/sluice/admin/v1/admin_pb.js';
export * from './gen/sluice/admin/v1/error_pb.js';
export * from './gen/sluice/admin/v1/rest_pb.js';
