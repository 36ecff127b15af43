export * from './gen/sluice/admin/v1/admin_pb.js';
export * from './gen/sluice/admin/v1/rest_pb.js';
